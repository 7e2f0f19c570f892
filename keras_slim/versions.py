"""The versions that keras_slim was tried on: the oldest in `tox -e oldest`, the newest in all other environments."""

import importlib.metadata
import re
import warnings

from keras_slim.errors import SlimWarning

TRIED = {"keras": ((3, 13), (3, 15)), "tensorflow": ((2, 19), (2, 21))}


def warn_of_untried() -> None:
    """Warns of each installed package whose version is older or newer than those tried, without importing it."""
    for name, (first, last) in TRIED.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # under another name, such as `tensorflow-cpu`
            continue
        found = re.match(r"(\d+)\.(\d+)", installed)
        if not found or not first <= tuple(map(int, found.groups())) <= last:
            tried = " to ".join(".".join(map(str, version)) for version in (first, last))
            warnings.warn(
                f"keras_slim was never tried on {name} {installed}, but on {tried}. If anything fails, install one of "
                "these.",
                SlimWarning,
                stacklevel=3,
            )

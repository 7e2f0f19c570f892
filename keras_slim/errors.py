"""Every error and warning keras_slim raises by a name of its own, and how their messages are worded."""

import difflib
import re


class UnsupportedLayerError(ValueError):
    """A model, or a layer of it, that cannot be handled.

    The message names all offenders and the way out.
    """


class UnreachableTargetError(ValueError):
    """A target that the guards make unreachable; it says how far a cut could go."""


class PlanMismatchError(ValueError):
    """A pruning plan that was made for another model; the message names what differs."""


class CompressedFileError(ValueError):
    """A file that holds no compressed model, or a damaged one, or one that is larger than allowed."""


class ExportError(RuntimeError):
    """A model that does not convert, or a file that does not answer like it."""


class MissingExtraError(ImportError):
    """A missing optional package; the message holds the `pip install` line."""


class SlimWarning(UserWarning):
    """Something the user should know of, though the work goes on."""


def invalid_argument(name, owner, *, expected, received, hint=""):
    """Returns the wording shared by all complaints about an argument.

    Args:
        name: Name of the argument.
        owner: Name of the function or class that was given it.
        expected: What would have been right, as a phrase.
        received: The value that came.
        hint: What to do, one sentence. Optional.

    Returns:
        The message, a string.
    """
    message = f"Invalid value for argument `{name}` of `{owner}`. Expected {expected}. Received: {name}={received!r}."
    return f"{message} {hint}" if hint else message


COLOURS = re.compile("\x1b\\[[0-9;]*m")


def first_sentence(error):
    """Returns the first line of an error, since Keras appends whole configurations, and says first where it was."""
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return (lines or [type(error).__name__])[0][:300]


def one_of(names):
    """Returns `names` as the phrase "one of 'a', 'b'"."""
    return "one of " + ", ".join(repr(name) for name in names)


def did_you_mean(word, names):
    """Returns "Did you mean 'x'?" for the nearest of `names`, or an empty string when none is near."""
    nearest = difflib.get_close_matches(str(word), [name for name in names if isinstance(name, str)], n=1, cutoff=0.5)
    return f"Did you mean {nearest[0]!r}?" if nearest else ""

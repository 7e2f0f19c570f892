"""Every error and warning keras_slim raises by a name of its own, and how their messages are worded."""

import difflib
import pathlib
import re
import sys
import sysconfig
import traceback

LIBRARIES = ("keras", "keras_slim", "tensorflow", "jax", "torch", "numpy", "optree", "ml_dtypes")
"""Packages whose lines are not the user's."""

LONGEST = 300
"""Letters of a foreign message, or of a value, that are shown."""


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
    shown = repr(received)
    if len(shown) > LONGEST:
        shown = f"{shown[:LONGEST]}..."
    message = f"Invalid value for argument `{name}` of `{owner}`. Expected {expected}. Received: {name}={shown}."
    return f"{message} {hint}" if hint else message


COLOURS = re.compile("\x1b\\[[0-9;]*m")


NOISE = re.compile(
    r"""{{.*?}}\ * | \ *\[Op:\w+\](\ name:\ *\w*)?  # TensorFlow's names of operations
    | ^in\ user\ code:$ | ^\ *File\ ".*",\ line\ \d+,\ in\ .*\n.*$  # what TensorFlow was tracing
    | ^.*Exception\ encountered\ when\ calling.*$  # by Keras, before what matters
    """,
    re.MULTILINE | re.VERBOSE,
)


FRAME = re.compile(r'^ *File "(.*)", line (\d+), in ', re.MULTILINE)
"""How TensorFlow says where what it was tracing failed."""


def first_sentence(error):
    """Returns the first line of an error, since Keras appends whole configurations, and says first where it was."""
    text = error
    if isinstance(error, KeyError) and error.args:  # a key alone says nothing, and is quoted with all around it
        text = error.args[0]
    lines = [line.strip() for line in NOISE.sub("", COLOURS.sub("", str(text))).splitlines()]
    line = next(filter(None, lines), type(error).__name__)
    if isinstance(error, KeyError):
        line = f"{type(error).__name__}: {line}"
    if len(line) <= LONGEST:
        return line
    whole, stop, _ = line[:LONGEST].rpartition(". ")
    return whole + stop.strip() if whole else line[:LONGEST]


def in_short(error):
    """Returns the first line of an error and the place in the user's code that it came from, without a full stop."""
    return f"{first_sentence(error).rstrip('. ')}{place_of(error)}"


def place_of(error):
    """Returns where in the user's own code an error came from, as the end of a sentence; nothing if it is not there."""
    loaded = [sys.modules[name] for name in LIBRARIES if name in sys.modules]
    folders = [str(pathlib.Path(module.__file__).parent) for module in loaded]
    standard = sysconfig.get_paths()["stdlib"]

    def is_own(file):
        if file.startswith((*folders, "<frozen")) or "__autograph_generated_file" in file:
            return False
        return "site-packages" in file or not file.startswith(standard)

    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [each for each in (*FRAME.findall(str(error)), *frames) if is_own(each[0])]
    return f" ({own[-1][0]}, line {own[-1][1]})" if own else ""


def one_of(names):
    """Returns `names` as the phrase "one of 'a', 'b'"."""
    return "one of " + ", ".join(repr(name) for name in names)


def did_you_mean(word, names):
    """Returns "Did you mean 'x'?" for the nearest of `names`, or an empty string when none is near."""
    nearest = difflib.get_close_matches(str(word), [name for name in names if isinstance(name, str)], n=1, cutoff=0.5)
    return f"Did you mean {nearest[0]!r}?" if nearest else ""

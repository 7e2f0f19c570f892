"""Checks of arguments: each returns the value, or raises with what was expected, what came and what to do."""

import importlib
import importlib.util
import math
import numbers
import os
from collections.abc import Iterable

from keras_slim.errors import MissingExtraError, did_you_mean, invalid_argument, one_of

FOREIGN = ".weights.h5"
"""Ending of files of Keras's own, whatever ours end with."""


def check_choice(value, name, owner, choices):
    """Returns `value` if it is one of `choices`, or raises `ValueError` naming the nearest."""
    if any(value is choice or (isinstance(value, type(choice)) and value == choice) for choice in choices):
        return value
    raise ValueError(
        invalid_argument(
            name, owner, expected=one_of(choices), received=value, hint=did_you_mean(value, filter(None, choices))
        )
    )


def check_share(value, name, owner, *, zero=False, one=False):
    """Returns `value` as a float in the open interval (0, 1), its ends allowed on request.

    Args:
        value: The value to check.
        name: Name of the argument.
        owner: Name of the function or class.
        zero: Whether 0 is allowed.
        one: Whether 1 is allowed.

    Returns:
        The value, a float.

    Raises:
        TypeError: If it is not a real number.
        ValueError: If it lies outside the interval.
    """
    expected = f"a share in {'[' if zero else '('}0, 1{']' if one else ')'}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(invalid_argument(name, owner, expected=expected, received=value))
    if 0 < value < 1 or (zero and value == 0) or (one and value == 1):
        return float(value)
    hint = f"For {value} per cent, give {value / 100:g}." if 1 < value < 100 else ""
    raise ValueError(invalid_argument(name, owner, expected=expected, received=value, hint=hint))


def check_number(value, name, owner):
    """Returns `value` as a finite float of at least 0, or raises `TypeError` or `ValueError`."""
    expected = "a finite number of at least 0"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(invalid_argument(name, owner, expected=expected, received=value))
    if not 0 <= value < math.inf:
        raise ValueError(invalid_argument(name, owner, expected=expected, received=value))
    return float(value)


def check_positive(value, name, owner):
    """Returns `value` as a finite float above 0, or raises `TypeError` or `ValueError`."""
    expected = "a finite number > 0"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(invalid_argument(name, owner, expected=expected, received=value))
    if not 0 < value < math.inf:
        raise ValueError(invalid_argument(name, owner, expected=expected, received=value))
    return float(value)


def check_names(value, name, owner):
    """Returns names as a tuple, or raises `TypeError` for a string, whose letters are no names, or for no list."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        hint = f"For one layer, give [{value!r}]." if isinstance(value, str) else "Give `()` for none."
        raise TypeError(invalid_argument(name, owner, expected="a list of names", received=value, hint=hint))
    return tuple(value)


def check_count(value, name, owner, *, minimum=1):
    """Returns `value` as an int of at least `minimum`, or raises `TypeError` or `ValueError`."""
    expected = f"an integer of at least {minimum}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(invalid_argument(name, owner, expected=expected, received=value))
    if value < minimum:
        raise ValueError(invalid_argument(name, owner, expected=expected, received=value))
    return int(value)


def check_writable(path, name, owner, ending="") -> str:
    """Returns `path` as a string if a file can be written there, or raises before any work is done.

    Raises:
        TypeError: If it is no path.
        ValueError: If the path does not end as such files do, so that another kind of file may be there, the folder
            does not exist, the path is a folder, or neither can be written.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(invalid_argument(name, owner, expected=f"a path that ends with '{ending}'", received=path))
    path = os.path.abspath(os.fspath(path))
    folder = os.path.dirname(path)
    if not path.endswith(ending):
        expected, hint = (
            f"a path that ends with '{ending}'",
            "A file of another kind may be there, so nothing was written.",
        )
    elif ending and path.endswith(FOREIGN):
        expected, hint = f"a path that ends with '{ending}', '{FOREIGN}' apart", "Keras keeps weights under that."
    elif not os.path.isdir(folder):
        expected, hint = "a path in a folder that exists", f"Create it first: {folder}"
    elif os.path.isdir(path):
        expected, hint = "the path of a file", "A folder of that name exists."
    elif not os.access(folder, os.W_OK) or (os.path.exists(path) and not os.access(path, os.W_OK)):
        expected, hint = "a path that can be written", "The file or its folder is read-only."
    else:
        return path
    raise ValueError(invalid_argument(name, owner, expected=expected, received=path, hint=hint))


def import_extra(module, *, extra, feature):
    """Imports an optional package, or raises `MissingExtraError` with the `pip install` line.

    Args:
        module: Dotted name of the module.
        extra: Name of keras_slim's extra that brings it.
        feature: What needs it, as the beginning of a sentence.

    Returns:
        The module.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing_extra(module, extra, feature) from error


def check_extra(module, *, extra, feature):
    """Raises `MissingExtraError`, as `import_extra` does, if an optional package is not there; it is not imported."""
    if importlib.util.find_spec(module) is None:
        raise _missing_extra(module, extra, feature)


def _missing_extra(module, extra, feature):
    return MissingExtraError(
        f"{feature} needs the package '{module.partition('.')[0]}', which is not installed. "
        f"Install it with: pip install 'keras_slim[{extra}]'"
    )

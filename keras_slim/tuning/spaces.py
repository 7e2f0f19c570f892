"""What may be searched: for each setting a value, a list of values, a range, or a function that asks keras-tuner."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

from keras_slim.errors import did_you_mean, invalid_argument, one_of

SCOPE = "slim"
"""What the names of our hyperparameters begin with, so that a user's own may be called the same."""

Space = Any
"""A value, a list, a tuple or a function, as `CompressionHyperModel` explains them."""


def check_space(space: Space, name: str, owner: str) -> Space:
    """Returns what may be searched of one setting, or raises `ValueError`."""
    if isinstance(space, list):
        fits = bool(space) and all(_is_plain(each) for each in space) and len(set(map(type, space))) == 1
    elif isinstance(space, tuple):
        fits = len(space) in (2, 3) and all(_is_number(each) for each in space) and space[0] < space[1]
    else:
        fits = _is_plain(space) or callable(space)
    if fits:
        return space
    expected = "a value, a list of values of one type, a range `(low, high)` or `(low, high, step)`, or a function"
    raise ValueError(invalid_argument(f"settings[{name!r}]", owner, expected=expected, received=space))


def check_names(settings: Mapping[str, Space], known: Mapping[str, Space], methods: list[str], owner: str) -> None:
    """Raises `ValueError` if a setting is given that none of the methods reads."""
    for name in settings:
        if name not in known:
            expected = f"settings that the methods {methods} read: {one_of(known)}"
            hint = did_you_mean(name, known)
            raise ValueError(invalid_argument("settings", owner, expected=expected, received=name, hint=hint))


def ask(hp: Any, name: str, space: Space) -> Any:
    """Returns the value that a setting has in a trial; what is searched is made known to keras-tuner thereby.

    Args:
        hp: The `keras_tuner.HyperParameters` of the trial.
        name: What the setting is called.
        space: What may be searched of it.
    """
    if isinstance(space, list):
        return hp.Choice(name, space)
    if isinstance(space, tuple):
        low, high, *rest = space
        kind: Callable = hp.Int if all(isinstance(each, int) for each in space) else hp.Float
        return kind(name, low, high, step=rest[0] if rest else None)
    return space(hp, name) if callable(space) else hp.Fixed(name, space)


def _is_plain(value):
    return isinstance(value, str | int | float)


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)

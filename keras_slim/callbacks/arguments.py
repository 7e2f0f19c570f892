"""Checks of the arguments of callbacks."""

import numbers
import warnings

from keras_slim.distillation import Distillation
from keras_slim.errors import SlimWarning, invalid_argument
from keras_slim.validation import check_count, check_number, check_share


def check_ratio(ratio, max_drop, owner):
    """Returns the ratio, which a search need not have."""
    if ratio is None and max_drop is None:
        expected = "a share to remove, or `max_drop`, how far a metric may fall"
        raise ValueError(invalid_argument("ratio", owner, expected=expected, received=None))
    return None if ratio is None else check_share(ratio, "ratio", owner)


def check_distillation(distillation, owner):
    """Returns what was given, or raises `TypeError`."""
    if distillation is None or isinstance(distillation, Distillation):
        return distillation
    expected = "a `keras_slim.distillation.Distillation`"
    raise TypeError(invalid_argument("distillation", owner, expected=expected, received=distillation))


def check_window(window, owner):
    """Returns the window as a tuple, or raises `ValueError`."""
    expected = "two shares of the epochs, 0 <= begin <= end < 1"
    is_pair = isinstance(window, tuple | list) and len(window) == 2
    if not is_pair or not all(isinstance(end, numbers.Real) for end in window) or not 0 <= window[0] <= window[1] < 1:
        raise ValueError(invalid_argument("window", owner, expected=expected, received=window))
    return tuple(window)


def check_ignore(ignore, owner):
    """Returns the names as a tuple, or raises `TypeError` for a string, whose letters are no names."""
    if isinstance(ignore, str):
        hint = f"For one layer, give [{ignore!r}]."
        raise TypeError(invalid_argument("ignore", owner, expected="a list of names", received=ignore, hint=hint))
    return tuple(ignore)


def check_search(max_drop, monitor, patience, ratio_per_round, owner):
    """Returns `max_drop`, `patience` and a tuple of ratios, or raises what is wrong with them."""
    if max_drop is not None:
        max_drop = check_number(max_drop, "max_drop", owner)
        if not monitor.startswith("val_"):
            warnings.warn(
                f"`{owner}` looks for the smallest network that holds {monitor!r}, which is not a metric of validation:"
                " a network can hold it by learning its training data by heart. Expected a name like 'val_accuracy'. "
                "Give `monitor='val_...'`, and `validation_data` to `fit`.",
                SlimWarning,
                stacklevel=3,
            )
    ratios = ratio_per_round if isinstance(ratio_per_round, tuple | list) else (ratio_per_round,)
    ratios = tuple(check_share(ratio, "ratio_per_round", owner) for ratio in ratios)
    if not ratios or list(ratios) != sorted(set(ratios), reverse=True):
        expected = "a share, or shares in falling order"
        raise ValueError(invalid_argument("ratio_per_round", owner, expected=expected, received=ratio_per_round))
    return max_drop, check_count(patience, "patience", owner), ratios


def check_ratios(ratio, scope, owner):
    """Returns the share, or the dictionary of layer names to shares, which only a ranking by layer can have."""
    if not isinstance(ratio, dict):
        return check_share(ratio, "ratio", owner)
    if scope == "global":
        expected = "one share for all layers with scope='global', which ranks them together"
        raise ValueError(invalid_argument("ratio", owner, expected=expected, received=ratio))
    return {name: check_share(share, "ratio", owner, zero=True) for name, share in ratio.items()}

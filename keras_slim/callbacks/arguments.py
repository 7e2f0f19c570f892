"""Checks of the arguments of callbacks."""

import math
import numbers

from keras_slim.callbacks.saying import warn
from keras_slim.distillation import Distillation
from keras_slim.errors import invalid_argument
from keras_slim.validation import check_count, check_names, check_number, check_share


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


def check_sparsity(sparsity, pattern, scope, owner, default=0.9):
    """Returns the share of zeros, or a dictionary of them, as the pattern and the scope allow it."""
    if sparsity is None:
        return default if pattern.sparsity is None else pattern.sparsity
    is_dictionary = isinstance(sparsity, dict)
    shares = sparsity if is_dictionary else {"": sparsity}
    shares = {name: check_share(share, "sparsity", owner, zero=True) for name, share in shares.items()}
    if is_dictionary and scope == "global":
        expected = "one share for all kernels, since `scope='global'` ranks them together"
        raise ValueError(invalid_argument("sparsity", owner, expected=expected, received=sparsity))
    if pattern.sparsity is not None:
        if not all(math.isclose(share, pattern.sparsity, rel_tol=1e-6) for share in shares.values()):
            expected = f"{pattern.sparsity:g}, the only share of zeros that `pattern={pattern.alias!r}` allows"
            hint = "Leave it out, or choose another pattern."
            raise ValueError(invalid_argument("sparsity", owner, expected=expected, received=sparsity, hint=hint))
        shares = dict.fromkeys(shares, pattern.sparsity)
    return shares if is_dictionary else shares[""]


def check_initial_sparsity(initial_sparsity, sparsity, owner):
    """Returns the share of zeros to begin with, or raises if it is more than any in the end."""
    initial_sparsity = check_share(initial_sparsity, "initial_sparsity", owner, zero=True)
    final = min(sparsity.values(), default=0.0) if isinstance(sparsity, dict) else sparsity
    if initial_sparsity > final:
        expected = f"at most {final:g}, the sparsity in the end, since zeros stay zero"
        raise ValueError(invalid_argument("initial_sparsity", owner, expected=expected, received=initial_sparsity))
    return initial_sparsity


def check_not_given(arguments, schedule, owner):
    """Raises `ValueError` if arguments are given beside a schedule that holds them already."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if given:
        name, value = next(iter(given.items()))
        expected = f"nothing, since the schedule, a {type(schedule).__name__}, has sparsity and steps of its own"
        hint = f"Leave out {', '.join(f'`{each}`' for each in given)}, or give a schedule by name."
        raise ValueError(invalid_argument(name, owner, expected=expected, received=value, hint=hint))


def check_ignore(ignore, owner):
    """Returns the names as a tuple, or raises `TypeError` for what is no list of names."""
    return check_names(ignore, "ignore", owner)


def check_part(part, owner):
    """Returns the name of a part, or `None`; raises `TypeError` for anything else."""
    if part is None or isinstance(part, str):
        return part
    expected = "the name of an attribute, or of a layer, that is a model"
    raise TypeError(invalid_argument("part", owner, expected=expected, received=part))


def check_search(max_drop, monitor, patience, ratio_per_round, owner):
    """Returns `max_drop`, `patience` and a tuple of ratios, or raises what is wrong with them."""
    if max_drop is not None:
        max_drop = check_number(max_drop, "max_drop", owner)
        if not isinstance(monitor, str):
            expected = "the name of a metric, like 'val_accuracy'"
            raise TypeError(invalid_argument("monitor", owner, expected=expected, received=monitor))
        if not monitor.startswith("val_"):
            warn(
                f"`{owner}` looks for the smallest network that holds {monitor!r}, which is not a metric of validation:"
                " a network can hold it by learning its training data by heart. Expected a name like 'val_accuracy'. "
                "Give `monitor='val_...'`, and `validation_data` to `fit`."
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

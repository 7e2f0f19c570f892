"""Whether a copy of a layer, made from its config, holds what the layer holds, at every place inside."""

import functools
import inspect
import types

import keras
import numpy as np

from keras_slim.held import (
    PLAIN,
    cannot_copy,
    has_own_state,
    inside,
    is_own_function,
    is_stock,
    layers_within,
    places_within,
)
from keras_slim.in_memory import config_of

DATA = (*PLAIN, np.ndarray, np.generic)
OF_THE_TRAINER = ("train_function", "test_function", "predict_function")


def check_alike(operation: keras.Operation, copy: keras.Operation, is_built: bool = True) -> None:
    """Raises if functions, or arguments of constructors, that layers hold came out otherwise in their copies.

    Args:
        operation: A layer; of an operation of `keras.ops` there is nothing to say.
        copy: A copy, that may be cut: where its config has another entry, it may hold something else.
        is_built: Whether it has been built, and has got what the layer remembers; if not, less is asked.

    Raises:
        UnsupportedLayerError: If so.
    """
    owners = {id(each) for each in layers_within(operation)}
    for old, new in places_within(operation, copy):
        if type(old) is not type(new):
            continue
        others = inside(new)
        for name, value in inside(old).items():
            other = others.get(name, value if isinstance(old, keras.layers.Layer) else None)
            if not is_own_function(value, owners) or _is_of_class(old, name) or _same(value, other):
                continue
            if other is not None or is_built:
                _refuse(old if isinstance(old, keras.Operation) else operation, name, value, other)
        if isinstance(old, keras.layers.Layer) and not is_stock(type(old)) and (is_built or not has_own_state(old)):
            _check_arguments(old, new, is_built)


def _is_of_class(owner, name):
    """Tells whether an attribute takes the place of a method, or is what `fit` makes."""
    if not isinstance(owner, keras.layers.Layer):
        return False
    return callable(getattr(type(owner), name, None)) or (isinstance(owner, keras.Model) and name in OF_THE_TRAINER)


def _same(old, new):
    """Tells whether two functions have the same code, or two objects the same class and config, seeds apart."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, functools.partial):
        return _same(old.func, new.func) and _alike((old.args, old.keywords), (new.args, new.keywords))
    same_code = all(getattr(old, name, None) is getattr(new, name, None) for name in ("__code__", "__name__"))
    return same_code and _alike(_told(old), _told(new))


def _told(value):
    try:
        return {**type(value).get_config(value), "seed": None}
    except (AttributeError, NotImplementedError):
        return {}


def _check_arguments(old, new, is_built):
    for argument, parameter in inspect.signature(type(old).__init__).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        for name in (argument, f"_{argument}"):
            if name not in vars(old) or name not in vars(new):
                continue
            value, other = vars(old)[name], vars(new)[name]
            if not (_alike(value, other) or _is_explained(argument, old, new, other, is_built)):
                _refuse(old, argument, value, other)


def _is_explained(argument, old, new, value, is_built):
    """Tells whether what a copy has for an argument is right: its config says so, or it is to be found out."""
    config = config_of(old)
    if not is_built:
        return argument in config or value is None
    if argument not in config:
        return False
    found_out = config[argument] is None and value is not None
    return found_out or not _alike(config[argument], config_of(new).get(argument))


def _alike(old, new):
    """Tells whether two values say the same; what is no data always does."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_alike(value, new[key]) for key, value in old.items())
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(map(_alike, old, new))
    is_data = isinstance(old, DATA) and isinstance(new, DATA)
    return old is new or not is_data or np.array_equal(old, new)


def _refuse(layer, name, old, new):
    told = f"{_shown(old)} here and {_shown(new)} in a copy"
    raise cannot_copy(layer, f"a config that does not tell `{name}`, which is {told}")


def _shown(value):
    """Returns how a value is named in a message: a function by its module, since two may have one name."""
    if isinstance(value, types.FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return f"{value!r:.80}"

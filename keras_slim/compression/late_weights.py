"""Models that take no memory for the weights they begin with, only for those that a file gives them.

Keras draws initial weights for each layer it builds, which takes up to three times their memory, before it reads those
that replace them. Within a `keras.StatelessScope` it builds layers as well, but only lists what to draw until the scope
ends. That list is not public, nor is what a variable draws with: this file alone touches them, as they are in Keras
3.15, and its test fails where a version changes them.

A layer of the user's own may read its weights while it is built, or trace them; Keras's own and keras_slim's do not,
apart from recurrent ones that create states from values, and those on PyTorch, which register what they have.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
from keras.src.backend.common import global_state  # has no public name

from keras_slim.compression.header import check_size

_PENDING, _SCOPE = "uninitialized_variables", "stateless_scope"
_STOCK = "keras", "keras_slim"


def can_load_late(config) -> bool:
    """Returns whether a model has nothing but layers and functions that `load_late` is safe for.

    Args:
        config: Configuration of the model as Keras has it, or a part of it.

    Example:

    >>> can_load_late(keras.saving.serialize_keras_object(keras.layers.LSTM(2)))
    True
    >>> can_load_late(keras.saving.serialize_keras_object(keras.layers.LSTM(2, stateful=True)))
    False
    """
    return keras.backend.backend() != "torch" and _is_stock(config)


def _is_stock(config):
    if isinstance(config, list):
        return all(map(_is_stock, config))
    if not isinstance(config, dict):
        return True
    module, (package, registered, _) = config.get("module"), str(config.get("registered_name")).partition(">")
    is_own = str(module or "keras").partition(".")[0] not in _STOCK or (registered and package != "keras_slim")
    return not is_own and not config.get("stateful") and all(map(_is_stock, config.values()))


def load_late(load: Callable[[], keras.Model], max_bytes: int) -> keras.Model:
    """Returns the model that a function builds and loads, with memory taken for its weights once they are known.

    Args:
        load: Function without arguments that builds a model and assigns its weights, such as
            `keras.saving.load_model`.
        max_bytes: Most bytes that the variables of the model may have together.

    Raises:
        CompressedFileError: If they have more; no memory has been taken for them.
    """
    if global_state.get_global_attribute(_SCOPE):  # the end of an inner one draws nothing
        return load()
    before = global_state.get_global_attribute(_PENDING)
    pending = _Pending(max_bytes)
    global_state.set_global_attribute(_PENDING, pending)
    try:
        with _Scope() as scope:
            model = _built(load, pending)
            for variable in pending:
                value = scope.get_current_value(variable)
                if value is not None:
                    variable._initializer = lambda shape, dtype, value=value: value
        return model
    finally:
        global_state.set_global_attribute(_PENDING, before)


class _Scope(keras.StatelessScope):
    """Keeps what variables are given, without the arrays that TensorFlow's tensors keep if they were made from them."""

    def add_update(self, update):
        variable, value = update
        super().add_update((variable, keras.ops.copy(value)))


def _built(load, pending):
    """Returns the model, its variables pending; where there is none, they are forgotten."""
    try:
        model = load()
        check_size(pending.bytes, pending.max_bytes)
        return model
    except BaseException as error:
        pending.clear()
        if isinstance(error, Exception):  # Keras passes over some, and wraps others
            check_size(pending.bytes, pending.max_bytes)
        raise


class _Pending(list):
    """Variables whose values are not drawn yet, as many as there may be."""

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self.bytes = 0

    def append(self, variable):
        self.bytes += math.prod(variable.shape) * np.dtype(variable.dtype).itemsize
        check_size(self.bytes, self.max_bytes)
        super().append(variable)

"""Models that take no memory for the weights they begin with, only for those that a file gives them.

Keras draws initial weights for each layer it builds, which takes up to three times their memory, before it reads those
that replace them. Within a `keras.StatelessScope` it builds layers as well, but only notes what to draw until the scope
ends. These notes are not public, nor is what they are made by: this file alone touches them, and its test fails where a
version of Keras changes them.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
from keras.src.backend.common import global_state  # has no public name

from keras_slim.compression.header import check_size

_NOTES = "uninitialized_variables"
_BY_VALUE = "while in a stateless scope"  # Keras refuses variables that are created there from values


def load_late(load: Callable[[], keras.Model], max_bytes: int) -> keras.Model:
    """Returns the model that a function builds and loads, with memory taken for its weights once they are known.

    Where a layer creates variables from values, as stateful recurrent ones do, it is built as Keras does.

    Args:
        load: Function without arguments that builds a model and assigns its weights.
        max_bytes: Most bytes that the variables of the model may have together.

    Raises:
        CompressedFileError: If they have more; no memory has been taken for them.
    """
    before = global_state.get_global_attribute(_NOTES)
    notes = []
    global_state.set_global_attribute(_NOTES, notes)
    try:
        with keras.StatelessScope() as scope:
            try:
                model = load()
            finally:
                variables = notes.copy()
                notes.clear()
                check_size(sum(map(_bytes, variables)), max_bytes)
            for variable in variables:
                value = scope.get_current_value(variable)
                if value is not None:
                    variable._initializer = lambda shape, dtype, value=value: value
            notes.extend(variables)
        return model
    except Exception as error:  # Keras wraps it in others
        if _BY_VALUE not in str(error):
            raise
    finally:
        global_state.set_global_attribute(_NOTES, before)
    return load()


def _bytes(variable):
    return math.prod(variable.shape) * np.dtype(variable.dtype).itemsize

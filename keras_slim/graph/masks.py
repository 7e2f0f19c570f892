"""Which steps of a value are padding: the one file that reads and sets Keras's private masks.

Keras hands a mask on with the value itself, and has no public way to read it there, nor to set it. Private names used:
`get_keras_mask` and `set_keras_mask` of `keras.src.backend`. Checked on Keras 3.15.1; `tests/lowrank/test_calls.py`
fails when they move.
"""

import contextlib

import keras
from keras.src import backend  # has no public name


def mask_of(value):
    """Returns the mask that a value has with it, `True` where it counts; `None` if there is none."""
    return backend.get_keras_mask(value)


def set_mask(value, mask):
    """Gives a value a mask, in the place of the one it has; to what is no tensor it does nothing."""
    if keras.ops.is_tensor(value):
        backend.set_keras_mask(value, mask)


def masked_like(value, other):
    """Returns a value, with the mask of another."""
    set_mask(value, mask_of(other))
    return value


@contextlib.contextmanager
def masks_kept(values):
    """Gives values their masks back in the end: attention takes them off what it is given, for good."""
    masks = [(value, mask_of(value)) for value in values]
    try:
        yield
    finally:
        for value, mask in masks:
            set_mask(value, mask)


class SetMask(keras.Operation):
    """Hands a value on with another mask."""

    def call(self, value, mask):
        set_mask(value, mask)
        return value

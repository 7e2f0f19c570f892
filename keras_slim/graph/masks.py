"""Which steps of a value are padding: the one file that reads Keras's private masks.

Keras hands a mask on with the value itself, and has no public way to read it there. Private name used: `_keras_mask`.
Checked on Keras 3.15.1; `tests/lowrank/test_calls.py` fails when it moves.
"""


def mask_of(value):
    """Returns the mask that a value has with it, `True` where it counts; `None` if there is none."""
    return getattr(value, "_keras_mask", None)

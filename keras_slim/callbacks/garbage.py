"""Giving back the memory of a network that was cut.

TensorFlow never lets go of the graphs of some compiled functions, those of the training step of Keras among them, and
they hold the weights that they read: `fit` and `del model` in plain Keras leave all weights in memory. So the weights
that nobody can reach any more are emptied. Checked on TensorFlow 2.21; `tests/callbacks/test_memory.py` holds it.
"""

import gc
import weakref

import keras

from keras_slim.optimizer_slots import optimizers_of


class Garbage:
    """What a model and its optimizer hold now, and what can be freed of it after a cut.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: keras.Model):
        self._held = []
        for variable in (*model.variables, *(state for each in optimizers_of(model) for state in each.variables)):
            for part in _parts(variable):
                self._held.append((weakref.ref(variable), weakref.ref(part), part.handle, part.dtype))

    def free(self) -> None:
        """Frees what nobody can reach any more. Layers refer to each other, so that Python must look for them."""
        gc.collect()
        for variable, part, handle, dtype in self._held:
            if variable() is part() is None:
                _empty(handle, dtype)


def _parts(variable):
    """Returns the TensorFlow variables that hold a variable's values, one on each device."""
    if keras.backend.backend() != "tensorflow":
        return []
    return getattr(variable.value, "values", [variable.value])


def _empty(handle, dtype):
    import tensorflow as tf

    with tf.device(handle.device):
        tf.raw_ops.AssignVariableOp(resource=handle, value=tf.zeros([0], dtype))

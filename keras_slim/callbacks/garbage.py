"""Giving back the memory of a network that was cut.

TensorFlow never lets go of the graphs of some compiled functions, those of the training step of Keras among them, and
they hold the weights that they read: `fit` and `del model` in plain Keras leave all weights in memory. So the weights
that nobody can reach any more are emptied. Checked on TensorFlow 2.21; `tests/callbacks/test_memory.py` holds it.
"""

import gc
import weakref

import keras


class Garbage:
    """What a model and its optimizer hold now, and what can be freed of it after a cut.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: keras.Model):
        held = [*model.variables, *model.optimizer.variables]
        self._held = [(weakref.ref(variable), _buffers(variable)) for variable in held]

    def free(self) -> None:
        """Frees what nobody can reach any more. Layers refer to each other, so that Python must look for them."""
        gc.collect()
        for variable, buffers in self._held:
            if variable() is None:
                for handle, dtype in buffers:
                    _empty(handle, dtype)


def _buffers(variable):
    """Returns the handles of what holds a variable's values on each device, with their types."""
    if keras.backend.backend() != "tensorflow":
        return []
    return [(each.handle, each.dtype) for each in getattr(variable.value, "values", [variable.value])]


def _empty(handle, dtype):
    import tensorflow as tf

    with tf.device(handle.device):
        tf.raw_ops.AssignVariableOp(resource=handle, value=tf.zeros([0], dtype))

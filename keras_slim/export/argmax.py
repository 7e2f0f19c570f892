"""`argmax` and `argmin` as one built-in operation each.

Keras tells -0.0 from 0.0 in them, on TensorFlow by the bits of numbers, for which LiteRT has no operation.
"""

import keras

from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import is_graph, operations
from keras_slim.held import is_of_keras

GUARDED = ("Argmax", "Argmin")


class PlainArg(keras.Operation):
    """Puts out where the largest or smallest number is, the first of equal ones; -0.0 equals 0.0.

    Args:
        guarded: Keras's operation.
    """

    def __init__(self, guarded):
        super().__init__(name=guarded.name)
        self.guarded = guarded

    def call(self, x):
        import tensorflow as tf

        search, axis = tf.argmax if type(self.guarded).__name__ == "Argmax" else tf.argmin, self.guarded.axis
        found = search(x, axis, output_type=tf.int32)
        return tf.expand_dims(found, axis) if self.guarded.keepdims else found

    def compute_output_spec(self, x):
        return self.guarded.compute_output_spec(x)


def without_guarded_argmax(model: keras.Model) -> keras.Model:
    """Returns a model with plain searches for the largest or smallest; the model itself if it has none to replace."""
    if not is_graph(model) or not any(map(_is_guarded, operations(model))):
        return model
    return copy_replacing(model, lambda operation, changes: [PlainArg(operation)] if _is_guarded(operation) else None)


def _is_guarded(operation):
    is_one = is_of_keras(type(operation)) and type(operation).__name__ in GUARDED
    return is_one and operation.axis is not None

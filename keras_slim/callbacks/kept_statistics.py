"""Batch normalizations and ranges that stay as they are while the weights around them are trained on."""

import keras

from keras_slim.held import layers_within
from keras_slim.layers.quantized import Quantized

HAVE_STATISTICS = keras.layers.BatchNormalization, Quantized


class KeptStatistics:
    """A context in which a model is trained by the moving averages of its batch normalizations, and learns no ranges.

    A layer that is not `trainable` does so in Keras; its weights are made trainable all the same. Functions that were
    compiled outside go on as they were.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model):
        found = [each for each in layers_within(model) if isinstance(each, HAVE_STATISTICS) and each.trainable]
        self._layers = list({id(each): each for each in found}.values())
        self._flags: list[tuple] = []

    def __enter__(self):
        for layer in self._layers:
            within = [*layers_within(layer), *layer.variables]
            flags = [(each, each.trainable) for each in within]
            layer.trainable = False
            for variable, flag in flags[len(within) - len(layer.variables) :]:
                variable.trainable = flag
            self._flags += flags

    def __exit__(self, *error):
        flags, self._flags = self._flags, []
        for each, flag in flags:
            if each.trainable != flag:
                each.trainable = flag

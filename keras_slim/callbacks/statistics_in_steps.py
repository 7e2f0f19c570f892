"""What is learned of data beside weights while a model makes steps: averages of batch normalizations, and ranges.

Both are contexts for single steps. Functions that were compiled outside go on as they were.
"""

import keras

from keras_slim.held import layers_within
from keras_slim.layers.quantized import Quantized


class RangesOfFrozenLayers:
    """A context in which layers that are not `trainable` learn ranges as all others do: they cannot round without.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model):
        found = [each for each in layers_within(model) if isinstance(each, Quantized) and not each.trainable]
        self._layers = [each for each in found if each.rounding != "nothing" and not each.is_watching]

    def __enter__(self):
        for layer in self._layers:
            layer.is_watching = True

    def __exit__(self, *error):
        for layer in self._layers:
            layer.is_watching = False


class KeptStatistics:
    """A context in which a model is trained by the averages that its batch normalizations have, and learns no ranges.

    A layer that is not `trainable` does so in Keras; its weights are made trainable all the same.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model):
        kinds = keras.layers.BatchNormalization, Quantized
        self._layers = [each for each in layers_within(model) if isinstance(each, kinds) and each.trainable]
        self._flags: list[tuple] = []

    def __enter__(self):
        for layer in self._layers:
            variables = [(each, each.trainable) for each in layer.variables]
            self._flags += [*((each, each.trainable) for each in layers_within(layer)), *variables]
            layer.trainable = False
            _set(variables)

    def __exit__(self, *error):
        flags, self._flags = self._flags, []
        _set(flags)


def _set(flags):
    for each, flag in flags:
        if each.trainable != flag:
            each.trainable = flag

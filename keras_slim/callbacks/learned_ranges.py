"""Frozen layers that learn their ranges while the layers behind them are trained."""

import keras

from keras_slim.held import layers_within
from keras_slim.layers.quantized import Quantized


class LearnedRanges:
    """A context in which layers with few bits that are not `trainable` learn their ranges all the same.

    Functions that were compiled outside go on as they were.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model):
        self._layers = [each for each in layers_within(model) if isinstance(each, Quantized) and not each.trainable]

    def __enter__(self):
        self._set(True)

    def __exit__(self, *error):
        self._set(False)

    def _set(self, is_watching):
        for layer in self._layers:
            layer.is_watching = is_watching

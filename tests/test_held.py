"""Layers are found wherever a model or a layer holds them."""

import keras
from keras import layers

from keras_slim.held import layers_within


class Holder(layers.Layer):
    """Holds layers in a list and in a dictionary."""

    def __init__(self):
        super().__init__()
        self.stack = [layers.ReLU()]
        self.named = {"a": layers.Softmax()}


def test_layers_inside_wrappers_models_and_layers_are_found_once():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    inputs = keras.Input((5, 2))
    x = inner(layers.Bidirectional(layers.LSTM(2))(inputs))
    model = keras.Model(inputs, inner(x))
    found = layers_within(model)
    assert found[0] is model
    assert {"LSTM", "LSTMCell", "Dense", "Sequential"} <= {type(layer).__name__ for layer in found}
    assert sum(isinstance(layer, layers.Dense) for layer in found) == 1
    assert {"ReLU", "Softmax"} <= {type(layer).__name__ for layer in layers_within(Holder())}

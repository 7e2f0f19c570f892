"""Adder layers get kernels of few values, everywhere in a model, and stay so while the rest trains."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers import AdderConv2D, AdderDense
from keras_slim.sharing import share_kernel_values


def network():
    inner = keras.Sequential([keras.Input((4, 4, 3)), AdderConv2D(4, 2), keras.layers.BatchNormalization()], name="in")
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(inner(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization()(AdderDense(5)(x))))


def kernels(model):
    return [layer.get_weights()[0] for layer in (model.get_layer("in").layers[0], model.layers[3])]


def test_kernels_get_few_values_near_their_own():
    model = network()
    before = kernels(model)
    assert share_kernel_values(model, 4) is model
    for old, new in zip(before, kernels(model), strict=True):
        assert len(np.unique(new)) == 4
        assert np.square(old - new).mean() < 0.25 * old.var()


def test_values_stay_few_while_the_rest_trains(uncompiled_adder_layers):
    model = share_kernel_values(network(), 3)
    before, head = kernels(model), model.layers[-1].get_weights()[0]
    model.compile("sgd", "mse")
    model.fit(np.random.default_rng(0).normal(size=(8, 4, 4, 3)), np.zeros((8, 2)), verbose=0)
    for old, new in zip(before, kernels(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(model.layers[-1].get_weights()[0] - head).max() > 0


def test_layers_need_not_be_frozen():
    assert all(layer.trainable for layer in share_kernel_values(network(), 3, freeze=False).layers)


def test_a_model_without_adder_layers_is_refused():
    with pytest.raises(UnsupportedLayerError, match="no adder layers"):
        share_kernel_values(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with pytest.raises(TypeError, match="model"):
        share_kernel_values("model")
    with pytest.raises(ValueError, match="number"):
        slim.sharing.share_kernel_values(network(), 0)

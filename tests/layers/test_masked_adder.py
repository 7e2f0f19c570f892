"""A masked adder layer answers as the plain one that never had the channels, and learns as it does."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_slim.kernels.backends import gradient
from keras_slim.layers import (
    AdderConv1D,
    AdderConv2D,
    AdderDense,
    MaskedAdderConv1D,
    MaskedAdderConv2D,
    MaskedAdderDense,
)

KEPT = [0, 3, 4, 7]
CASES = {
    # name: (masked layer, plain layer, arguments, shape, axis of the channels, kept channels of a group)
    "conv2d": (MaskedAdderConv2D, AdderConv2D, {"filters": 3, "kernel_size": 2, "strides": 2}, (5, 4, 8), 3, KEPT),
    "groups": (MaskedAdderConv2D, AdderConv2D, {"filters": 4, "kernel_size": 2, "groups": 2}, (5, 4, 8), 3, [0, 3]),
    "channels first": (
        *(MaskedAdderConv2D, AdderConv2D),
        {"filters": 3, "kernel_size": 2, "data_format": "channels_first", "padding": "same"},
        *((8, 4, 3), 1, KEPT),
    ),
    "conv1d": (MaskedAdderConv1D, AdderConv1D, {"filters": 3, "kernel_size": 3, "padding": "causal"}, (6, 8), 2, KEPT),
    "dense": (MaskedAdderDense, AdderDense, {"units": 3}, (8,), 1, KEPT),
    "dense over steps": (MaskedAdderDense, AdderDense, {"units": 3}, (5, 8), 2, KEPT),
}


def pair(name):
    """Returns a masked layer, the plain one with its weights, inputs of both, and the kept channels of a group."""
    masked_class, plain_class, arguments, shape, axis, of_group = CASES[name]
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    small = np.take(x, KEPT, axis=axis)
    masked, plain = masked_class(**arguments, kept={axis: KEPT}), plain_class(**arguments)
    masked.build(x.shape)
    plain.build(small.shape)
    masked.bias.assign(np.arange(float(masked.bias.shape[0])))
    plain.kernel.assign(np.take(masked.kernel.numpy(), of_group, axis=-2))
    plain.bias.assign(masked.bias)
    return masked, plain, x, small, of_group


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_without_the_channels(name):
    masked, plain, x, small, _ = pair(name)
    one, other = map(ops.convert_to_numpy, (masked(x), plain(small)))
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("name", ["conv2d", "groups", "dense"])
def test_it_learns_as_without_the_channels(name):
    """The local learning rate counts the weights that are there; the others stay."""
    masked, plain, x, small, of_group = pair(name)
    gradients = []
    for layer, inputs in ((masked, x), (plain, small)):

        def loss(kernel, layer=layer, inputs=inputs):
            variables = [kernel if each is layer.kernel else each.value for each in layer.trainable_variables]
            return ops.sum(ops.square(layer.stateless_call(variables, [], inputs)[0]))

        found = gradient(loss, ops.convert_to_tensor(ops.convert_to_numpy(layer.kernel)), ops.ones(()))
        gradients.append(ops.convert_to_numpy(found))
    left = np.take(gradients[0], of_group, axis=-2)
    np.testing.assert_allclose(left, gradients[1], rtol=1e-4, atol=1e-6)
    assert np.count_nonzero(gradients[0]) == np.count_nonzero(left)


@pytest.mark.parametrize("name", CASES)
def test_it_comes_back_from_its_file(name, tmp_path):
    masked, _, x, *_ = pair(name)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, masked(inputs))
    model.save(tmp_path / "masked.keras")
    loaded = keras.saving.load_model(tmp_path / "masked.keras")
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (loaded(x), model(x))))


def test_it_has_the_precision_of_the_layer():
    masked = MaskedAdderDense(3, kept={1: [0, 2]}, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(masked(np.zeros((2, 4), "float32")).dtype) == "bfloat16"
    assert masked.kernel.dtype == "float32"

"""Every criterion on units that adder layers compute, and that adder layers read."""

import functools

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.graph import analyse
from keras_slim.layers import AdderConv2D, AdderDense
from keras_slim.scoring import Redundancy, criteria

RNG = np.random.default_rng(5)
X = RNG.normal(size=(12, 5, 5, 2)).astype("float32")
Y = RNG.integers(3, size=12)


def network():
    inputs = keras.Input((5, 5, 2))
    x = layers.BatchNormalization()(AdderConv2D(5, 3, name="first")(inputs))
    x = layers.BatchNormalization()(AdderConv2D(4, 2, name="second")(layers.LeakyReLU()(x)))
    x = layers.BatchNormalization()(AdderDense(6, name="third")(layers.Flatten()(x)))
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.001), loss, run_eagerly=True)
    return model


@functools.lru_cache(1)
def learned():
    """The weights after a few steps."""
    model = network()
    model.fit(X, Y, epochs=3, verbose=0)
    return model.get_weights()


@pytest.fixture
def model(uncompiled_adder_layers):
    model = network()
    model.set_weights(learned())
    return model


@pytest.mark.parametrize("criterion", criteria.names())
def test_scores_are_finite_and_tell_units_apart(model, score, criterion):
    if criterion == "bn_scale":
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.gamma.assign(RNG.normal(size=layer.gamma.shape))
    scores = score(model, criterion, (X, Y))
    assert np.isfinite(scores).all()
    for group in analyse(model).groups:
        assert len(np.unique(scores[group.units])) > (0 if criterion == "apoz" else 1), group.name


def test_criteria_of_weights_read_the_kernels(model, score):
    kernels = [keras.ops.convert_to_numpy(model.get_layer(name).kernel) for name in ("first", "second", "third")]
    expected = [np.sqrt(np.square(kernel).sum(axis=tuple(range(kernel.ndim - 1)))) for kernel in kernels]
    np.testing.assert_allclose(score(model, "l2"), np.concatenate(expected), rtol=1e-5)


def test_a_distance_passes_each_unit_on_with_slope_one(score, uncompiled_adder_layers):
    """Two units without anything in common, each read by three weights, whatever their size."""
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, use_bias=False), AdderDense(3, kernel_initializer="zeros")]
    )
    model.layers[0].kernel.assign([[1.0, 0.0], [0.0, 2.0]])
    x = RNG.choice([-1.0, 1.0], size=(4000, 2))
    np.testing.assert_allclose(score(model, Redundancy(ridge=1e-6), x), np.sqrt(3) * np.array([1, 2]), rtol=0.01)

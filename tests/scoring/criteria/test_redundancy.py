"""Expected values come from a least-squares fit of each unit on the others."""

import keras
import numpy as np
import pytest

from keras_slim.scoring import Redundancy


def residuals(columns):
    """Standard deviations of what is left of each column after a fit on the others and a constant."""
    left = []
    for index in range(columns.shape[1]):
        others = np.column_stack([np.delete(columns, index, axis=1), np.ones(len(columns))])
        fit = np.linalg.lstsq(others, columns[:, index], rcond=None)[0]
        left.append((columns[:, index] - others @ fit).std())
    return np.array(left)


def test_score_is_what_the_others_leave_unexplained_times_what_reads_it(score, perceptron):
    x = np.random.default_rng(0).normal(size=(300, 4)).astype("float32")
    layer = perceptron.get_layer("hidden")
    layer.bias.assign(np.linspace(-1, 1, 8))
    hidden = np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    norms = np.sqrt(np.square(perceptron.get_layer("head").kernel.numpy()).sum(axis=1))
    found = score(perceptron, Redundancy(ridge=1e-6), x)
    np.testing.assert_allclose(found, residuals(hidden) * norms, rtol=1e-3, atol=1e-6)


def test_copies_and_combinations_score_next_to_nothing_however_large(score):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="hidden"), keras.layers.Dense(1)])
    kernel = np.eye(4)
    kernel[:, 2] = kernel[:, 0] * 10
    model.get_layer("hidden").kernel.assign(kernel)
    model.layers[-1].kernel.assign(np.ones((4, 1)))
    found = score(model, "redundancy", np.random.default_rng(0).normal(size=(200, 4)))
    assert max(found[[0, 2]]) < 0.15 < 0.9 < min(found[[1, 3]])
    assert min(score(model, "std_activation", np.random.default_rng(0).normal(size=(200, 4)))) > 0.9


def test_channels_of_one_unit_do_not_explain_each_other(score):
    """A depthwise convolution with a multiplier puts out each unit twice, here as exact copies."""
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(3, 1, name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(1, depth_multiplier=2, use_bias=False, name="twice")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, name="head")(x))
    model.get_layer("conv").kernel.assign(np.array([[1.0, 0, 1], [0, 2, 1]]).reshape(1, 1, 2, 3))
    model.get_layer("twice").kernel.assign(np.ones((1, 1, 3, 2)))
    model.get_layer("head").kernel.assign(np.ones((1, 1, 6, 1)))
    x = np.random.default_rng(0).normal(size=(50, 6, 6, 2)).astype("float32")
    found = score(model, Redundancy(ridge=1e-4), x)
    assert found.shape == (3,)
    assert found.max() < 0.1  # each is a combination of the other two
    model.get_layer("conv").kernel.assign(np.array([[1.0, 0, 0], [0, 2, 0]]).reshape(1, 1, 2, 3))
    found = score(model, Redundancy(ridge=1e-4), x)
    expected = residuals(x.reshape(-1, 2) * [1, 2]) * np.sqrt(2)  # each is read by two weights of one
    np.testing.assert_allclose(found, [*expected, 0], rtol=0.01, atol=1e-6)


def test_of_large_maps_a_part_is_looked_at(score):
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 1, activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, name="head")(x))
    x = np.random.default_rng(0).normal(size=(8, 64, 64, 3)).astype("float32")
    kernel, head = (model.get_layer(name).kernel.numpy() for name in ("conv", "head"))
    expected = residuals(np.maximum(x.reshape(-1, 3) @ kernel[0, 0], 0)) * np.abs(head.ravel())
    np.testing.assert_allclose(score(model, "redundancy", x), expected, rtol=0.1)


@pytest.mark.parametrize(("ridge", "error"), [(0, ValueError), (-1.0, ValueError), ("a", TypeError)])
def test_a_fit_without_a_penalty_is_refused(ridge, error):
    with pytest.raises(error, match="`ridge` of `Redundancy`.*> 0"):
        Redundancy(ridge)

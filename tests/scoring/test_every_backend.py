"""Scores that follow the loss back, against hand-written arithmetic; on JAX and PyTorch too."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.scoring import criteria, debiasers, unit_scores

RNG = np.random.default_rng(3)
SAMPLES = 131  # more than are looked at together
X = RNG.normal(size=(SAMPLES, 5)).astype("float32")
Y = RNG.normal(size=(SAMPLES, 2)).astype("float32")
WEIGHTS = RNG.random(SAMPLES).astype("float32")


def scores(model, criterion, *data):
    return scores_of(model, criterion, data)


def scores_of(model, criterion, data, **options):
    members = criteria.get(criterion, "", ""), debiasers.get("none", "", "")
    return unit_scores(analyse(model), *members, data, **options)


def filled(model, seed=0):
    """Returns the model with random weights, of which no two runs draw others."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(random.normal(0, 0.5, variable.shape))
    return model


def two_layers(**options):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(6, "tanh"), layers.Dense(2)])
    filled(model).compile("sgd", "mse", **options)
    return model


def steps(model, weights=1.0):
    """Returns `activation * slope of the sample's loss` of each hidden unit, of shape `(samples, units)`."""
    kernel, bias, head, offset = (ops.convert_to_numpy(each) for each in model.weights)
    hidden = np.tanh(X @ kernel + bias)
    slopes = (hidden @ head + offset - Y) @ head.T  # of the mean over two outputs of squares
    return hidden * slopes * np.reshape(weights, (-1, 1))


@pytest.mark.parametrize("eagerly", [False, True])
def test_scores_are_those_of_the_formulas(eagerly):
    model = two_layers(run_eagerly=eagerly)
    expected = steps(model)
    np.testing.assert_allclose(scores(model, "taylor", X, Y), np.abs(expected).mean(0), rtol=1e-4)
    np.testing.assert_allclose(scores(model, "fisher", X, Y), (expected**2).mean(0), rtol=1e-4)


def test_samples_count_by_their_weights():
    model = two_layers()
    expected = np.abs(steps(model, WEIGHTS)).mean(0)
    np.testing.assert_allclose(scores(model, "taylor", X, Y, WEIGHTS), expected, rtol=1e-4)


def test_slopes_pass_layers_that_are_frozen():
    model = two_layers()
    expected = scores(model, "taylor", X, Y)
    model.trainable = False
    model.compile("sgd", "mse")
    np.testing.assert_allclose(scores(model, "taylor", X, Y), expected, rtol=1e-6)
    assert not any(variable.trainable for variable in model.variables)


def test_what_a_layer_remembers_is_as_before():
    model = keras.Sequential([keras.Input((4, 5), batch_size=4), layers.GRU(6, stateful=True), layers.Dense(2)])
    filled(model).compile("sgd", "mse")
    x = RNG.normal(size=(8, 4, 5)).astype("float32")
    model.layers[0].reset_states()
    batches = [(x[:4], Y[:4]), (x[4:], Y[4:8])]
    first = scores_of_batches(model, batches)
    assert not any(ops.convert_to_numpy(state).any() for state in model.layers[0].states)
    # the second batch goes on from what the first one left
    assert not np.allclose(first, scores_of_batches(model, batches[::-1]))
    np.testing.assert_allclose(first, scores_of_batches(model, batches), rtol=1e-6)


def scores_of_batches(model, batches):
    return scores_of(model, "taylor", iter(batches), steps=2)


def test_weights_are_not_taken_for_constants():
    model = two_layers()
    scores(model, "taylor", X, Y)
    model.set_weights([2 * each for each in model.get_weights()])
    np.testing.assert_allclose(scores(model, "taylor", X, Y), np.abs(steps(model)).mean(0), rtol=1e-4)


def test_an_image_is_rebuilt_from_its_maps():
    model = filled(keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(4, 3, name="maps")]))
    image = RNG.random((1, 6, 6, 1)).astype("float32")
    maps = ops.convert_to_numpy(model(image))
    few, many = (
        np.abs(ops.convert_to_numpy(model(rebuilt)) - maps).mean()
        for rebuilt in (
            slim.scoring.invert_feature_maps(model, "maps", image, total_variation=0, steps=count, verbose=0)
            for count in (1, 100)
        )
    )
    assert many < 0.05 * few


def test_units_that_no_output_shows_are_scored_by_the_weights_that_read_them():
    inputs = keras.Input((3, 5))
    attention = layers.MultiHeadAttention(2, 3)  # heads and keys are read from the same weights, along two axes
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(attention(inputs, inputs))))
    filled(model).compile("sgd", "mse")
    x, y = RNG.normal(size=(16, 3, 5)).astype("float32"), Y[:16]
    found, graph = scores(model, "taylor", x, y), analyse(model)
    shown = {unit for site in graph.sites for unit in site.units.tolist()}
    slopes = {unit: [] for unit in range(graph.num_units) if unit not in shown}
    for slot in graph.slots:
        for channel, unit in enumerate(slot.units):
            if slot.role == "consumes" and unit in slopes:
                weights = math.prod(slot.variable.shape) / len(slot.units)  # their mean counts, as that of positions
                slopes[unit].append(abs(slope_by_scale(model, slot, channel, x, y)) / weights)
    assert slopes
    for unit, each in slopes.items():
        np.testing.assert_allclose(found[unit], np.mean(each), rtol=0.02, atol=1e-5)


def slope_by_scale(model, slot, channel, x, y, step=1e-2):
    """Returns the slope of the mean loss by a factor of the weights at one channel, by central differences."""
    before = ops.convert_to_numpy(slot.variable)
    losses = []
    for factor in (1 + step, 1 - step):
        factors = np.ones(before.shape[slot.axis])
        factors[channel] = factor
        shape = [-1 if axis == slot.axis else 1 for axis in range(before.ndim)]
        slot.variable.assign(before * factors.reshape(shape))
        losses.append(float(model.evaluate(x, y, verbose=0)))
    slot.variable.assign(before)
    return (losses[0] - losses[1]) / (2 * step)

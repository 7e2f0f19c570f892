"""Zeros of kernels whose weights were pruned one by one, after a cut that is made up for with data."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.calibration import Calibration, calibrated, calibration_inputs
from keras_slim.pruning.surgery import rebuild, silence

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 5)).astype("float32")


def dense():
    return keras.Sequential([keras.Input((5,)), layers.Dense(12, "relu", name="read"), layers.Dense(6, name="head")])


def convolutional():
    stack = [layers.Dense(75), layers.Reshape((5, 5, 3)), layers.Conv2D(12, 2, activation="relu", name="read")]
    return keras.Sequential([keras.Input((5,)), *stack, layers.Conv2D(6, 2, name="head"), layers.Flatten()])


def normalised():
    stack = [layers.Dense(12, "relu", name="read"), layers.Dense(6, use_bias=False, name="head")]
    return keras.Sequential([keras.Input((5,)), *stack, layers.BatchNormalization()])


def sparse(build):
    """Returns a model with a head of which 70 % of the weights are zero."""
    model = build()
    rng = np.random.default_rng(1)
    for weight in model.weights[:-2] if build is normalised else model.weights:
        weight.assign(rng.normal(size=weight.shape))
    kernel = model.get_layer("head").kernel
    kernel.assign(np.where(rng.random(kernel.shape) < 0.7, 0, kernel.numpy()))
    return model


def cut(model, make, keep_every):
    """Returns the model without some units of the layer that the head reads, and which are kept."""
    graph = analyse(model)
    keep = np.ones(graph.num_units, bool)
    keep[graph.layers["read"][::keep_every]] = False
    batches = calibration_inputs(X, model, None, "test", 1024)
    return calibrated(make, graph, keep, batches, Calibration())[0], keep[graph.layers["read"]]


@pytest.mark.parametrize("build", [dense, convolutional, normalised])
def test_they_stay_and_the_other_weights_make_up_for_the_cut(build):
    model = sparse(build)
    small, kept = cut(model, rebuild, 4)
    before = np.compress(kept, model.get_layer("head").kernel.numpy(), axis=-2)
    after = small.get_layer("head").kernel.numpy()
    np.testing.assert_array_equal(after == 0, before == 0)
    assert np.any(after != before)
    plain = slim.shrink(model, plan_of(model, kept))
    errors = [np.mean(np.square(each(X) - model(X))) for each in (small, plain)]
    assert errors[0] < 0.5 * errors[1]
    masked, _ = cut(model, silence, 4)
    np.testing.assert_allclose(masked(X), small(X), rtol=1e-4, atol=1e-4)


def plan_of(model, kept):
    graph = analyse(model)
    (group,) = [group for group in graph.groups if "read" in group.layers]
    plan = slim.plan_pruning(model, 0)
    groups = [
        slim.pruning.GroupPlan(each.name, each.layers, each.size, tuple(np.flatnonzero(kept).tolist()), each.tied_by)
        if each.name == group.name
        else each
        for each in plan.groups
    ]
    return slim.pruning.PruningPlan(tuple(groups), plan.whole, plan.before, plan.after, plan.settings)


def test_they_are_the_least_squares_without_the_others():
    model = sparse(dense)
    small, kept = cut(model, rebuild, 4)
    read = np.asarray(model.get_layer("read")(X), float)
    kernel, bias = model.get_layer("head").kernel.numpy().astype(float), model.get_layer("head").bias.numpy()
    found, found_bias = small.get_layer("head").get_weights()
    for unit in range(6):
        support = np.flatnonzero(kernel[kept, unit])
        table = np.column_stack([read[:, kept][:, support], np.ones(len(read))])
        solution = np.linalg.lstsq(table, read @ kernel[:, unit] + bias[unit], rcond=None)[0]
        np.testing.assert_allclose(found[support, unit], solution[:-1], atol=2e-3)
        np.testing.assert_allclose(found_bias[unit], solution[-1], atol=5e-3)


def test_a_dense_kernel_is_fitted_as_ever():
    model = sparse(dense)
    kernel = model.get_layer("head").kernel
    kernel.assign(np.where(kernel.numpy() == 0, 0.1, kernel.numpy()))
    small, _ = cut(model, rebuild, 4)
    assert np.all(small.get_layer("head").kernel.numpy() != 0)

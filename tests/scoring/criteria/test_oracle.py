"""The oracle is what leaving a unit out does to the loss, computed anew with `slim.mask` or by hand."""

import dataclasses

import keras
import numpy as np
import pytest
from model_zoo import inputs_for, randomise
from zoo import BUILDERS

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.scoring.leave_one_out import loss_rises


def reset(model):
    """Lets layers that remember start anew."""
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()


def answers(model, x):
    reset(model)
    return model(x)


def flat(answers):
    """Returns all outputs, one after another."""
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(answers)]


def squared_error(outputs, targets):
    return sum(np.mean((output - target) ** 2) for output, target in zip(outputs, targets, strict=True))


def without(model, graph, unit):
    """Returns the plan that removes one unit."""
    plan = slim.plan_pruning(model, 0)
    (group,) = [group for group in graph.groups if unit in group.units]
    kept = tuple(number - group.first for number in group.units if number != unit)
    groups = [
        dataclasses.replace(each, kept_channels=kept) if each.name == group.name else each for each in plan.groups
    ]
    return dataclasses.replace(plan, groups=tuple(groups))


@pytest.mark.parametrize("build", BUILDERS, ids=lambda builder: builder.__name__)
def test_it_is_the_loss_of_the_masked_model_less_that_of_the_model(build, uncompiled_adder_layers):
    model = randomise(build())
    x = inputs_for(model)
    rng = np.random.default_rng(0)
    outputs = answers(model, x)
    targets = keras.tree.map_structure(lambda y: rng.normal(size=y.shape).astype("float32"), outputs)
    model.compile("sgd", "mse")
    graph = analyse(model)
    may_go = [unit for group in graph.groups if group.size > 1 for unit in (group.first, group.first + group.size - 1)]
    units = rng.permutation(may_go)[:2]
    reset(model)
    rises = loss_rises(graph, units, lambda: iter([(x, targets, None)]))
    most = np.abs(rises).argmax()
    assert abs(rises[most]) > 1e-4
    without_it = answers(slim.mask(model, without(model, graph, units[most])), x)
    before, after = (squared_error(flat(each), flat(targets)) for each in (outputs, without_it))
    np.testing.assert_allclose(rises[most], after - before, rtol=1e-3, atol=3e-6 * max(1, before))


def test_batches_weigh_by_their_samples_and_samples_by_their_weights(score, perceptron):
    rng = np.random.default_rng(1)
    x, y, weight = rng.normal(size=(130, 4)), rng.normal(size=(130, 3)), rng.uniform(size=130)
    x[-2:] *= 5  # the last batch of two loses most
    kernel, bias, head, head_bias = perceptron.get_weights()
    hidden = np.maximum(x @ kernel + bias, 0)

    def loss_without(units):
        without = np.where(np.isin(np.arange(8), units), 0, hidden)
        return np.mean(weight * np.mean((without @ head + head_bias - y) ** 2, axis=1))

    expected = [loss_without([unit]) - loss_without([]) for unit in range(8)]
    np.testing.assert_allclose(score(perceptron, "oracle", (x, y, weight)), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("penalty", [{"kernel_regularizer": "l2"}, {"activity_regularizer": "l1"}], ids=list)
def test_penalties_on_activations_belong_to_the_loss_and_those_on_weights_do_not(score, penalty):
    """In front of the unit, whose layer need not run again, and behind it."""
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((4,)), dense(5, "relu", **penalty), dense(6, "relu", name="last", **penalty), dense(2, **penalty)]
    )
    model.compile("sgd", "mse")
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")
    graph = analyse(model)

    def loss(of):
        of.compile("sgd", "mse", jit_compile=False)
        weights = [layer.kernel.numpy() for layer in of.layers if layer.kernel_regularizer]
        return of.evaluate(x, y, verbose=0) - sum(0.01 * np.square(weight).sum() for weight in weights)

    before = loss(model)
    expected = [loss(slim.mask(model, without(model, graph, unit))) - before for unit in (4, 5)]
    np.testing.assert_allclose(score(model, "oracle", (x, y))[[4, 5]], expected, rtol=1e-3, atol=1e-5)


def test_layers_in_front_of_a_unit_run_once_a_batch(score, perceptron, samples):
    calls = []

    class Counted(keras.layers.Layer):
        def call(self, inputs):
            calls.append(self.name)
            return inputs

    slim.graph.register_rule(Counted)(slim.graph.elementwise)  # so that it is not tried
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5)(Counted(name="front")(inputs))
    model = keras.Model(inputs, Counted(name="back")(keras.layers.Dense(3)(x)))
    model.compile("sgd", "mse")
    calls.clear()
    score(model, "oracle", samples)
    assert (calls.count("front"), calls.count("back")) == (1, 1 + 5)


def test_weights_are_read_once_for_all_units(perceptron, samples, monkeypatch):
    read, convert = [], keras.ops.convert_to_numpy
    monkeypatch.setattr(keras.ops, "convert_to_numpy", lambda value: read.append(id(value)) or convert(value))
    loss_rises(analyse(perceptron), range(8), lambda: iter([(*samples, None)]))
    assert read.count(id(perceptron.layers[-1].kernel)) == 1


def test_weights_are_given_back_when_it_fails(score, perceptron, samples):
    before = perceptron.get_weights()

    class Failing(keras.losses.Loss):
        def call(self, y_true, y_pred):
            if not np.array_equal(perceptron.get_weights()[2], before[2]):
                raise ArithmeticError
            return keras.ops.mean(y_pred, axis=-1)

    perceptron.compile("sgd", Failing())
    with pytest.raises(ValueError, match="ArithmeticError"):
        score(perceptron, "oracle", samples)
    for old, new in zip(before, perceptron.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_progress_is_shown_on_request(score, perceptron, samples, capsys):
    score(perceptron, slim.scoring.Oracle(), samples)
    assert capsys.readouterr().out == ""
    score(perceptron, slim.scoring.Oracle(verbose=1), samples)
    assert "8/8" in capsys.readouterr().out

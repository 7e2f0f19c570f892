import random

import keras
import numpy as np
import pytest
from model_zoo import perceptron, randomise, residual, sequential
from zoo import BUILDERS

import keras_slim as slim
from keras_slim.errors import PlanMismatchError, UnsupportedLayerError
from keras_slim.pruning import Guards, prune_layer_by_layer, reinitialized

ANY = Guards(min_units=1, align=1)


def equal_weights(one, other):
    return [np.array_equal(mine, its) for mine, its in zip(one.get_weights(), other.get_weights(), strict=True)]


def names(model):
    return [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_a_reinitialized_model_has_the_same_structure_and_no_weight_in_common(builder):
    model = randomise(builder())
    weights = model.get_weights()
    fresh = reinitialized(model, seed=3)
    assert [(weight.shape, weight.trainable) for weight in fresh.weights] == [
        (weight.shape, weight.trainable) for weight in model.weights
    ]
    assert names(fresh) == names(model)
    assert fresh.output_shape == model.output_shape
    assert not any(equal_weights(fresh, model))
    assert all(np.array_equal(old, now) for old, now in zip(weights, model.get_weights(), strict=True))


def test_fresh_weights_are_those_of_the_initializers():
    inputs = keras.Input((50,))
    x = keras.layers.Dense(400, kernel_initializer=keras.initializers.RandomNormal(2.0, 0.5, seed=1))(inputs)
    x = keras.layers.Dense(300, kernel_initializer="orthogonal", bias_initializer="ones")(x)
    normal, _, orthogonal, ones = reinitialized(randomise(keras.Model(inputs, x)), seed=0).get_weights()
    assert normal.mean() == pytest.approx(2, abs=0.02)
    assert normal.std() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(orthogonal.T @ orthogonal, np.eye(300), atol=1e-5)
    assert (ones == 1).all()


def test_a_seed_in_an_initializer_does_not_bring_the_old_weights_back():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, kernel_initializer=keras.initializers.GlorotUniform(seed=7))]
    )
    kernels = [reinitialized(model, seed).get_weights()[0] for seed in (0, 1, 1)]
    assert not np.array_equal(kernels[0], model.get_weights()[0])
    assert not np.array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[1], kernels[2])


def test_the_generator_of_the_process_is_left_as_it_was():
    model, state = perceptron(), random.getstate()
    reinitialized(model, seed=1)
    assert random.getstate() == state


def test_without_a_seed_the_global_one_rules():
    model, kernels = perceptron(), []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        kernels.append(reinitialized(model).get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_models_inside_the_model_and_shared_layers_stay_so():
    shared = keras.layers.Dense(6)
    block = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6)])
    inputs = keras.Input((6,))
    model = keras.Model(inputs, shared(block(shared(inputs))))
    fresh = reinitialized(model, seed=5)
    assert fresh.count_params() == model.count_params() == 2 * (6 * 6 + 6)
    assert not np.array_equal(fresh.get_weights()[0], model.get_weights()[0])


def test_what_a_normalization_learned_about_the_data_stays():
    normalization = keras.layers.Normalization()
    x = np.random.default_rng(0).normal(5, 3, (64, 4)).astype("float32")
    normalization.adapt(x)
    model = keras.Sequential([keras.Input((4,)), normalization, keras.layers.Dense(2)])
    fresh = reinitialized(model)
    np.testing.assert_allclose(fresh.layers[0](x), normalization(x), rtol=1e-6)


def test_the_new_model_has_a_new_optimizer_of_the_same_settings():
    model = perceptron()
    model.compile(keras.optimizers.Adam(0.123), "mse")
    x, y = np.ones((8, 6)), np.ones((8, 3))
    model.fit(x, y, verbose=0)
    fresh = reinitialized(model)
    assert fresh.optimizer is not model.optimizer
    assert float(fresh.optimizer.learning_rate) == pytest.approx(0.123)
    assert int(fresh.optimizer.iterations) == 0
    fresh.fit(x, y, verbose=0)
    assert not reinitialized(slim.prune(model, 0.5)).compiled


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    model = Own()
    model(keras.ops.ones((1, 4)))
    with pytest.raises(UnsupportedLayerError):
        reinitialized(model)


def test_the_rank_debias_is_the_equal_proportion_baseline():
    """Of 16, 24 and 20 units a half is 8, 12 and 10, whatever they score."""
    plan = slim.plan_pruning(randomise(sequential()), 0.5, debias="rank", guards=ANY)
    assert [len(group.kept_channels) for group in plan.groups] == [8, 12, 10]


def test_the_random_criterion_keeps_other_units_for_other_seeds():
    model = perceptron()
    plans = [slim.plan_pruning(model, 0.5, criterion=slim.scoring.Random(seed), guards=ANY) for seed in (0, 0, 1)]
    assert plans[0].groups == plans[1].groups != plans[2].groups


class Recorder:
    """A fine-tuning that only notes what it was given, and doubles all weights."""

    def __init__(self):
        self.units = []

    def __call__(self, model):
        self.units.append([layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)])
        model.set_weights([2 * weight for weight in model.get_weights()])


def test_layer_by_layer_cuts_one_group_at_a_time_and_trains_after_each():
    model, recorder = randomise(perceptron()), Recorder()  # 24 and 16 units, 3 outputs
    plan = slim.plan_pruning(model, 0.5, debias="rank", guards=ANY)
    small = prune_layer_by_layer(model, plan, recorder)
    assert recorder.units == [[12, 16, 3], [12, 8, 3]]
    assert [layer.units for layer in small.layers[1:]] == [12, 8, 3]
    assert [layer.units for layer in model.layers[1:]] == [24, 16, 3]


def test_layer_by_layer_keeps_the_best_units_of_the_network_as_it_is_then():
    """The reference cuts the arrays by hand: columns of largest norm, the rows that read them, and twice as large."""
    model = randomise(perceptron())
    plan = slim.plan_pruning(model, 0.5, debias="rank", guards=ANY)
    (w1, b1, w2, b2, w3, b3), kept = model.get_weights(), lambda w, n: np.sort(np.argsort((w**2).sum(0))[-n:])
    first = kept(w1, 12)
    w1, b1, w2 = 2 * w1[:, first], 2 * b1[first], 2 * w2[first]
    second = kept(w2, 8)
    expected = [2 * w1, 2 * b1, 2 * w2[:, second], 4 * b2[second], 4 * w3[second], 4 * b3]
    found = prune_layer_by_layer(model, plan, Recorder(), criterion="l2").get_weights()
    for mine, its in zip(expected, found, strict=True):
        np.testing.assert_allclose(its, mine, rtol=1e-6)


def test_layer_by_layer_leaves_whole_what_the_plan_does():
    model, recorder = randomise(residual()), Recorder()
    plan = slim.plan_pruning(model, 0.2, guards=ANY, ignore=["conv2d"])
    small = prune_layer_by_layer(model, plan, recorder)
    assert small.count_params() == plan.after.params
    assert len(recorder.units) == sum(len(group.kept_channels) < group.size for group in plan.groups)


def test_layer_by_layer_with_nothing_to_cut_is_a_copy():
    model, recorder = randomise(perceptron()), Recorder()
    copy = prune_layer_by_layer(model, slim.plan_pruning(model, 0), recorder)
    assert copy is not model
    assert all(equal_weights(copy, model))
    assert recorder.units == []


def test_layer_by_layer_refuses_another_models_plan_and_no_function():
    with pytest.raises(PlanMismatchError):
        prune_layer_by_layer(perceptron(), slim.plan_pruning(residual(), 0.5), Recorder())
    with pytest.raises(TypeError, match="`fine_tune` of `prune_layer_by_layer`"):
        prune_layer_by_layer(perceptron(), slim.plan_pruning(perceptron(), 0.5), None)


@pytest.mark.slow
def test_layer_by_layer_trains_with_taylor_and_compensation_on_digits():
    (x, y), (x_val, y_val), _ = slim.datasets.load_digits()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )

    def train(network, epochs=2):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"], jit_compile=False)
        network.fit(x, y, epochs=epochs, verbose=0)

    train(model, 8)
    plan = slim.plan_pruning(model, 0.5, debias="rank")
    small = prune_layer_by_layer(model, plan, train, criterion="taylor", data=(x[:256], y[:256]))
    assert small.count_params() == plan.after.params
    assert small.evaluate(x_val, y_val, verbose=0)[1] > 0.93

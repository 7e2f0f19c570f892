"""Raw scores, de-biased layer by layer, and what is said about a user's function that returns nonsense."""

import contextlib
import time

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.scoring import ActivationCriterion, Criterion, Debias, criteria, debiasers


@pytest.fixture
def two_layers():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, name="first"),
            keras.layers.Dense(2, name="second"),
            keras.layers.Dense(1, name="head"),
        ]
    )
    model.get_layer("first").kernel.assign(np.diag([1.0, 2.0, 3.0, 4.0]))
    model.get_layer("second").kernel.assign(np.array([[30.0, 0.0], [0, 40.0], [0, 0], [0, 0]]))
    return model


def test_each_layer_is_debiased_alone(score, two_layers):
    np.testing.assert_allclose(score(two_layers, "l1"), [1, 2, 3, 4, 30, 40])
    np.testing.assert_allclose(score(two_layers, "l1", debias="max"), [1 / 4, 2 / 4, 3 / 4, 1, 3 / 4, 1])
    np.testing.assert_allclose(score(two_layers, "l1", debias="rank"), [1 / 8, 3 / 8, 5 / 8, 7 / 8, 1 / 4, 3 / 4])


def test_a_function_of_weights_is_a_criterion_and_one_of_scores_a_debiaser(score, two_layers):
    scores = score(two_layers, lambda weights: weights.max(axis=0), debias=lambda scores: scores - scores.min())
    np.testing.assert_allclose(scores, [0, 1, 2, 3, 0, 10])


def test_a_model_without_units_has_no_scores(score):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    x, y = np.zeros((3, 4)), np.zeros((3, 2))
    for criterion in criteria.names():
        assert score(model, criterion, (x, y)).shape == (0,)
    for debias in debiasers.names():
        assert score(model, "l1", (x, y), debias).shape == (0,)


def test_a_generator_is_drawn_from_once_for_all_passes(score, two_layers):
    two_layers.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    drawn = [(rng.normal(size=(3, 4)), rng.normal(size=(3, 1))) for _ in range(3)]
    batches = iter(drawn)
    found = score(two_layers, "product", batches, "fitted", steps=2)
    both = tuple(np.concatenate([batch[part] for batch in drawn[:2]]) for part in (0, 1))
    np.testing.assert_allclose(found, score(two_layers, "product", both, "fitted"), rtol=1e-4)
    assert next(batches) is drawn[2]


def test_progress_of_each_pass_is_shown_where_it_takes_long(score, two_layers, capsys, monkeypatch):
    monkeypatch.setattr("keras_slim.progress_display.SILENT_SECONDS", 0.05)
    batches = [np.ones((5, 4), "float32")] * 4

    def slowly():
        for batch in batches:
            time.sleep(0.1)
            yield batch

    score(two_layers, "apoz", slowly(), steps=4)
    assert capsys.readouterr().out == ""
    score(two_layers, Slow(), np.ones((130, 4)), verbose=1)
    assert "Scores: 1 of 2 batches" in capsys.readouterr().out  # of 128 and 2


class Slow(ActivationCriterion):
    def measure(self, activations, gradients):
        time.sleep(0.1)
        return keras.ops.mean(activations, axis=1)


class Constant(Criterion):
    """Scores every unit by one number."""

    def __init__(self, value):
        self.value = value

    def score(self, graph, data=None):
        return np.full(graph.num_units, self.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(score, two_layers, value):
    with pytest.raises(ValueError, match=r"`criterion`.*one finite score per unit, shape \(6,\).*not finite"):
        score(two_layers, Constant(value))


def test_a_network_that_has_diverged_is_refused(score, two_layers):
    two_layers.get_layer("first").kernel.assign(np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match=r"`criterion`.*one finite score per unit.*not finite"):
        score(two_layers, "l2")


@pytest.mark.parametrize(
    "function", [lambda weights: np.abs(weights).sum(), lambda weights: weights, lambda weights: np.zeros(3)]
)
def test_a_function_of_weights_that_returns_a_wrong_shape_is_told_the_right_one(score, two_layers, function):
    with pytest.raises(ValueError, match=r"`criterion`.*one finite score per unit.*shape"):
        score(two_layers, function)


def test_a_debiaser_that_returns_a_wrong_shape_is_told_the_right_one(score, two_layers):
    with pytest.raises(ValueError, match=r"`debias`.*one finite score per unit, shape \(4,\).*shape \(\)"):
        score(two_layers, "l1", debias=lambda scores: scores.mean())


def test_a_measure_that_returns_a_wrong_shape_is_told_the_right_one(score, two_layers):
    class Flat(ActivationCriterion):
        def measure(self, activations, gradients):
            return keras.ops.mean(activations, axis=(1, 2))

    with pytest.raises(ValueError, match=r"`criterion`.*\(samples, channels\).*shape"):
        score(two_layers, Flat(), np.ones((3, 4)))


def test_complaints_name_a_member_by_its_alias(score, two_layers):
    two_layers.get_layer("first").kernel.assign(np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="criterion='l2'"):
        score(two_layers, "l2")


@pytest.mark.parametrize(
    ("argument", "wrong", "nearest"), [("criterion", "tailor", "taylor"), ("debias", "zscore", "z_score")]
)
def test_unknown_names_are_answered_with_all_and_the_nearest(score, two_layers, argument, wrong, nearest):
    options = {"criterion": "l2", "debias": "none", argument: wrong}
    with pytest.raises(
        ValueError, match=rf"`{argument}`.*one of .*'{nearest}'.*='{wrong}'\. Did you mean '{nearest}'\?"
    ):
        score(two_layers, **options)


def test_things_of_the_wrong_kind_are_refused(score, two_layers):
    with pytest.raises(TypeError, match=r"`criterion`.*one of 'apoz'.*or a Criterion.*criterion=3"):
        score(two_layers, 3)
    with pytest.raises(TypeError, match=r"`debias`.*one of 'fitted'.*or a Debias.*debias=0\.5"):
        score(two_layers, "l2", debias=0.5)


def test_a_users_debiaser_class_is_taken(score, two_layers):
    class Negative(Debias):
        def __call__(self, scores):
            return -scores

    expected = [-1, -2, -3, -4, -30, -40]
    for debias in (Negative, Negative()):
        np.testing.assert_allclose(score(two_layers, "l1", debias=debias), expected)


@pytest.mark.onednn
@pytest.mark.parametrize("criterion", ["mean_activation", "taylor"])
def test_a_convolution_that_does_not_run_on_this_machine_is_named(criterion, convolves_channels_first):
    first = keras.layers.Conv2D(8, 1, data_format="channels_first", name="refused")
    layers = [keras.Input((2, 4, 4)), first, keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    data = np.ones((4, 2, 4, 4)), np.ones((4, 2))
    expected = pytest.raises(UnsupportedLayerError, match="'refused'. Set .*TF_ENABLE_ONEDNN_OPTS=1")
    with contextlib.nullcontext() if convolves_channels_first else expected:
        plan = slim.plan_pruning(model, 0.3, criterion=criterion, data=data, guards=slim.pruning.Guards(align=1))
        assert plan.after.units < plan.before.units

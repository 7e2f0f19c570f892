"""What every registered criterion promises, and a user's own with it."""

import functools
import json

import keras
import numpy as np
import pytest

from keras_slim.graph import analyse
from keras_slim.scoring import (
    ActivationCriterion,
    Criterion,
    WeightCriterion,
    check_data,
    criteria,
    debiasers,
    unit_scores,
)

RNG = np.random.default_rng(3)
X = RNG.normal(size=(20, 6, 6, 2)).astype("float32")
Y = RNG.integers(3, size=20)
NAMES = criteria.names()
DETERMINED_BY_WEIGHTS = sorted(set(NAMES) - {"random"})  # the others are free to answer as they like


class ThirdMoment(WeightCriterion):
    """A criterion on weights, as a user would write one."""

    alias = "third_moment"

    def __init__(self, power=3):
        self.power = power

    def unit_scores(self, weights):
        return np.mean(np.abs(weights) ** self.power, axis=0)

    def get_config(self):
        return {"power": self.power}


class Saliency(ActivationCriterion):
    """A criterion on slopes, as a user would write one."""

    alias = "saliency"
    needs = "targets"

    def measure(self, activations, gradients):
        return keras.ops.max(keras.ops.abs(gradients), axis=1)


def largest_weight(weights):
    return np.abs(weights).max(axis=0)


EVERY = [*NAMES, ThirdMoment(), Saliency(), largest_weight]
REPEATABLE = [*DETERMINED_BY_WEIGHTS, ThirdMoment(), Saliency(), largest_weight]


def name_of(criterion):
    return criterion if isinstance(criterion, str) else getattr(criterion, "__name__", type(criterion).__name__)


def of(criterion):
    return criteria.get(criterion, "criterion", "contract")


def scores(model, criterion, data=(X, Y), debias="none"):
    return unit_scores(analyse(model), of(criterion), debiasers.get(debias, "debias", "contract"), data)


@pytest.fixture(scope="module")
def model():
    """A convolution, a residual pair and a dense layer, all with batch norm, after a little training.

    One model serves all tests: that scoring changes nothing is one of them.
    """
    inputs = keras.Input((6, 6, 2))
    x = norm_and_relu(keras.layers.Conv2D(5, 3, name="conv")(inputs), "conv_norm")
    left = keras.layers.Conv2D(4, 1, name="left")(x)
    right = keras.layers.Conv2D(4, 1, name="right")(x)
    x = norm_and_relu(keras.layers.Add()([left, right]), "sum_norm")
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(x))
    x = norm_and_relu(keras.layers.Dense(6, name="dense")(x), "dense_norm")
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax", name="head")(keras.layers.Dropout(0.5)(x)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.fit(X, Y, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def first_scores(model):
    """Returns the function that gives the scores by a criterion; each is asked for them once."""
    return functools.cache(lambda criterion: scores(model, criterion))


def norm_and_relu(x, name):
    x = keras.layers.BatchNormalization(name=name, gamma_initializer=keras.initializers.RandomUniform(0.5, 2, seed=4))(
        x
    )
    return keras.layers.ReLU()(x)


@pytest.mark.parametrize("criterion", EVERY, ids=name_of)
def test_one_finite_score_per_unit(first_scores, criterion):
    found = first_scores(criterion)
    assert found.shape == (5 + 4 + 6,)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("criterion", EVERY, ids=name_of)
def test_units_are_told_apart(first_scores, criterion):
    assert len(set(first_scores(criterion).round(12))) > 5


@pytest.mark.parametrize("criterion", EVERY, ids=name_of)
def test_scoring_twice_gives_the_same(model, first_scores, criterion):
    np.testing.assert_array_equal(scores(model, criterion), first_scores(criterion))


@pytest.mark.parametrize("criterion", REPEATABLE, ids=name_of)
def test_a_copy_of_the_model_has_the_same_scores(model, first_scores, criterion):
    np.testing.assert_allclose(scores(copied(model), criterion), first_scores(criterion), rtol=1e-6)


def copied(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    return copy


def permute(model, order):
    """Reorders the filters of layer `conv` in everything that computes, scales or reads them."""
    for name, weight, axis in (
        ("conv", "kernel", -1),
        ("conv", "bias", 0),
        ("conv_norm", "gamma", 0),
        ("conv_norm", "beta", 0),
        ("conv_norm", "moving_mean", 0),
        ("conv_norm", "moving_variance", 0),
        ("left", "kernel", -2),
        ("right", "kernel", -2),
    ):
        variable = getattr(model.get_layer(name), weight)
        variable.assign(np.take(variable.numpy(), order, axis=axis))


@pytest.mark.parametrize("criterion", REPEATABLE, ids=name_of)
def test_permuting_filters_permutes_scores(model, first_scores, criterion):
    before, answers = first_scores(criterion), model(X)
    model = copied(model)
    order = [3, 0, 4, 2, 1]
    permute(model, order)
    np.testing.assert_allclose(model(X), answers, atol=1e-5)  # the same network
    after = scores(model, criterion)
    np.testing.assert_allclose(after[:5], before[order], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(after[5:], before[5:], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("criterion", EVERY, ids=name_of)
def test_scoring_changes_nothing(model, criterion):
    def state():
        variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        return [variable.numpy().copy() for variable in variables]

    functions, trainable = (model.train_function, model.test_function), [layer.trainable for layer in model.layers]
    config, attributes, before = model.get_config(), set(vars(model)), state()
    scores(model, criterion)
    for old, new in zip(before, state(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert model.get_config() == config
    assert set(vars(model)) == attributes
    assert (model.train_function, model.test_function) == functions
    assert [layer.trainable for layer in model.layers] == trainable
    assert model.losses == []


@pytest.mark.parametrize("criterion", EVERY, ids=name_of)
def test_what_it_needs_is_what_it_reads(model, criterion):
    """With less, it says what is missing; a criterion that needs nothing never looks."""
    needs = of(criterion).needs
    assert needs in ("nothing", "inputs", "targets")
    if needs == "nothing":
        graph = analyse(model)

        def unread():
            pytest.fail("the data was read")

        assert of(criterion).score(graph, unread).shape == (graph.num_units,)
        check_data(graph, of(criterion), None, owner="contract")
    else:
        with pytest.raises(ValueError, match="Invalid value for argument `data` of `unit_scores`"):
            scores(model, criterion, None)
    if needs == "targets":
        with pytest.raises(ValueError, match="Invalid value for argument `data` of `unit_scores`"):
            scores(model, criterion, X)


@pytest.mark.parametrize("name", NAMES)
def test_string_class_instance_and_dictionary_mean_the_same(model, first_scores, name):
    member = of(name)
    for identifier in (type(member), member, criteria.serialize(member)):
        assert type(of(identifier)) is type(member)
        assert vars(of(identifier)) == vars(member)
    np.testing.assert_array_equal(scores(model, criteria.serialize(member)), first_scores(name))


@pytest.mark.parametrize("name", NAMES)
def test_config_survives_json(name):
    written = json.dumps(criteria.serialize(of(name)))
    again = criteria.deserialize(json.loads(written), "criterion", "contract")
    assert type(again) is type(of(name))
    assert again.get_config() == of(name).get_config()
    assert vars(again) == vars(of(name))


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_says_what_it_scores_by(name):
    assert type(of(name)).__doc__.startswith("Scores ")


def test_an_argument_of_a_criterion_survives_the_round_trip():
    from keras_slim.scoring import Random

    again = criteria.deserialize(criteria.serialize(Random(seed=7)), "criterion", "contract")
    assert again.seed == 7


def test_a_registered_class_of_a_users_own_is_a_member_like_any_other(model, monkeypatch):
    monkeypatch.setattr(criteria, "_classes", dict(criteria._classes))
    criteria.register("third_moment")(ThirdMoment)
    assert "third_moment" in criteria.names()
    np.testing.assert_array_equal(scores(model, "third_moment"), scores(model, ThirdMoment))
    again = criteria.deserialize(criteria.serialize(ThirdMoment(5)), "criterion", "contract")
    assert again.power == 5
    with pytest.raises(ValueError, match="'third_moment' is registered already"):
        criteria.register("third_moment")(ThirdMoment)


def test_a_users_scores_are_what_the_user_wrote(model):
    kernel = model.get_layer("dense").kernel.numpy()
    np.testing.assert_allclose(scores(model, largest_weight)[9:], np.abs(kernel).max(axis=0))
    np.testing.assert_allclose(scores(model, ThirdMoment)[9:], (np.abs(kernel) ** 3).mean(axis=0), rtol=1e-5)


def test_a_criterion_must_say_how_it_scores():
    class Nothing(Criterion):
        pass

    with pytest.raises(TypeError, match="abstract"):
        of(Nothing)

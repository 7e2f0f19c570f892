"""What every registered de-biaser promises."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_slim.graph import analyse
from keras_slim.scoring import Debias, debiasers

NAMES = debiasers.names()
SCORES = arrays(float, st.integers(1, 20), elements=st.floats(-1e30, 1e30) | st.integers(-3, 3).map(float))


def of(name):
    return debiasers.get(name, "debias", "contract")


@pytest.mark.parametrize("name", NAMES)
@given(scores=SCORES)
def test_order_inside_a_layer_is_kept_and_ties_stay_ties(name, scores):
    result = of(name)(scores.copy())
    order = np.argsort(scores, kind="stable")
    assert (np.diff(result[order]) >= 0).all()
    assert (result[order][1:] == result[order][:-1])[scores[order][1:] == scores[order][:-1]].all()


@pytest.mark.parametrize("name", NAMES)
@given(scores=arrays(float, st.integers(2, 20), elements=st.integers(-100, 100).map(float)))
def test_different_scores_stay_different(name, scores):
    result = of(name)(scores.copy())
    order = np.argsort(scores, kind="stable")
    assert (np.diff(result[order]) > 0)[np.diff(scores[order]) > 0].all()


@pytest.mark.parametrize("name", NAMES)
@given(scores=SCORES)
def test_shape_is_kept_and_all_is_finite(name, scores):
    result = of(name)(scores.copy())
    assert result.shape == scores.shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "scores",
    [[5.0, 5.0, 5.0], [0.0, 0.0, 0.0], [-2.0, -2.0], [-3.0, -1.0, -2.0], [4.0], [0.0], [-4.0], [0.1] * 10],
    ids=str,
)
def test_degenerate_layers_stay_finite_and_equal_units_stay_equal(name, scores):
    result = of(name)(np.array(scores))
    assert np.isfinite(result).all()
    assert len(set(result)) == len(set(scores))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_into_the_input(name):
    scores = np.array([3.0, -1.0, 2.0])
    scores.flags.writeable = False
    of(name)(scores)


@pytest.mark.parametrize("name", NAMES)
def test_string_class_instance_and_dictionary_mean_the_same(name):
    scores = np.array([3.0, -1.0, 2.0])
    for identifier in (type(of(name)), of(name), debiasers.serialize(of(name))):
        np.testing.assert_array_equal(of(identifier)(scores), of(name)(scores))


@pytest.mark.parametrize("name", NAMES)
def test_config_survives_json(name):
    written = json.dumps(debiasers.serialize(of(name)))
    again = debiasers.deserialize(json.loads(written), "debias", "contract")
    assert type(again) is type(of(name))
    assert vars(again) == vars(of(name))


@pytest.fixture(scope="module")
def model():
    """Two groups, of 5 and of 7 units."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(7, "relu"), keras.layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("name", NAMES)
def test_what_it_needs_is_what_it_reads_and_layers_weigh_something(name, model):
    rng = np.random.default_rng(0)
    graph, scores, batch = (
        analyse(model),
        rng.uniform(size=12),
        (rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), None),
    )
    assert of(name).needs in ("nothing", "targets")
    before = model.get_weights()
    factors = of(name).factors(graph, scores, None if of(name).needs == "nothing" else lambda: iter([batch]))
    assert factors.shape == (2,)
    assert (factors > 0).all()
    assert np.isfinite(factors).all()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_users_class_and_function_are_taken():
    class Halved(Debias):
        def __call__(self, scores):
            return scores / 2

    for member in (Halved, Halved(), lambda scores: scores / 2):
        np.testing.assert_array_equal(of(member)(np.array([4.0, 2.0])), [2, 1])


def test_a_debiaser_must_say_what_it_does():
    class Nothing(Debias):
        pass

    with pytest.raises(TypeError, match="abstract"):
        of(Nothing)

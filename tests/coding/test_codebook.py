"""Shared values are k-means centres: few, ordered, no worse than equal steps, the same every time."""

import time

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.coding import nearest_codes, nearest_values, shared_values
from keras_slim.coding.codebook import INITS

EVERY_INIT = pytest.mark.parametrize("init", INITS)


def error(weights, values):
    return np.square(weights - nearest_values(weights, values)).sum()


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=60), st.integers(1, 9), st.sampled_from(INITS))
def test_values_are_few_and_what_is_nearest_is_taken(weights, number, init):
    weights = np.array(weights, "float32")
    values = shared_values(weights, number, init)
    assert 1 <= len(values) <= number
    assert (np.diff(values) > 0).all()
    nearest = nearest_values(weights, values)
    assert set(nearest) <= set(values)
    np.testing.assert_array_equal(
        np.abs(weights - nearest), np.abs(weights[:, None] - values[None]).min(axis=1), strict=True
    )


@EVERY_INIT
def test_a_mixture_is_taken_apart(init):
    rng = np.random.default_rng(0)
    weights = np.concatenate([rng.normal(centre, 0.01, 100) for centre in (-1, 0.2, 3)])
    np.testing.assert_allclose(shared_values(weights, 3, init), [-1, 0.2, 3], atol=0.01)


@EVERY_INIT
@pytest.mark.parametrize("number", [2, 4, 16])
def test_the_error_is_below_that_of_equal_steps(number, init):
    weights = np.random.default_rng(0).normal(size=2000)
    low, high = weights.min(), weights.max()
    steps = low + (np.arange(number) + 0.5) * (high - low) / number
    assert error(weights, shared_values(weights, number, init)) < error(weights, steps)


@EVERY_INIT
def test_no_step_of_the_algorithm_is_left(init):
    weights = np.random.default_rng(0).normal(size=500)
    values = shared_values(weights, 5, init)
    nearest = nearest_values(weights, values)
    np.testing.assert_allclose([weights[nearest == value].mean() for value in values], values)


def test_where_it_begins_decides_where_it_ends():
    """By hand: of the equal steps 0, 50 and 100, the middle one is nearest to none and dropped."""
    weights = np.array([0, 0, 0, 0, 4, 4, 4, 4, 5, 100.0])
    assert shared_values(weights, 3, "linear").tolist() == [(4 * 4 + 5) / 9, 100]
    assert shared_values(weights, 3, "density").tolist() == [0, (4 * 4 + 5) / 5, 100]


def test_what_is_drawn_is_drawn_alike_each_time():
    weights = np.random.default_rng(0).normal(size=300)
    np.testing.assert_array_equal(shared_values(weights, 9, "kmeans++"), shared_values(weights, 9, "kmeans++", seed=0))
    others = [shared_values(weights, 9, "kmeans++", seed=seed) for seed in range(5)]
    assert len({each.tobytes() for each in others}) > 1


@EVERY_INIT
@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, "float16", "float32", "float64"])
def test_the_type_is_kept(init, dtype):
    weights = np.random.default_rng(0).normal(size=300).astype(dtype)
    values = shared_values(weights, 9, init)
    assert values.dtype == nearest_values(weights, values).dtype == dtype


def test_codes_tell_which_value_is_nearest():
    assert nearest_codes(np.array([[9, -9], [0.9, 1.1]]), np.array([-1, 1, 3.0])).tolist() == [[2, 0], [1, 1]]
    assert nearest_codes(np.array([9, -9]), np.array([1.0])).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_next_to_each_other_are_told_apart(dtype):
    values = [np.array(1, dtype)]
    while len(values) < 9:
        values.append(np.nextafter(values[-1], np.array(2, dtype)))
    assert nearest_codes(np.array(values), np.array(values)).tolist() == list(range(9))
    assert nearest_codes(-np.array(values), -np.array(values)[::-1]).tolist() == list(range(9))[::-1]


@EVERY_INIT
def test_half_precision_is_computed_in_double(init):
    """The largest and the smallest weight are further apart than the largest number of half precision."""
    weights = np.linspace(-60000, 60000, 1000).astype("float16")
    values = shared_values(weights, 8, init)
    assert len(values) == 8
    assert np.abs(weights.astype("float32") - nearest_values(weights, values)).max() < 120000 / 8


@pytest.mark.slow
@EVERY_INIT
def test_ten_million_weights_take_seconds(init):
    weights = np.random.default_rng(0).normal(size=10**7).astype("float32")
    begin = time.perf_counter()
    values = shared_values(weights, 32, init)
    assert time.perf_counter() - begin < 20
    assert error(weights, values) < 0.005 * len(weights)


def test_fewer_different_weights_than_values_are_kept():
    weights = np.array([0.5, -1, 0.5, 2], "float32")
    values = shared_values(weights, 8)
    assert values.tolist() == [-1, 0.5, 2]
    assert values.dtype == "float32"


def test_a_number_below_one_is_refused():
    with pytest.raises(ValueError, match="number"):
        shared_values(np.ones(3), 0)


def test_an_unknown_beginning_is_refused():
    with pytest.raises(ValueError, match=r"`init` of `shared_values`.*Did you mean 'linear'\?"):
        shared_values(np.ones(3), 1, "linaer")

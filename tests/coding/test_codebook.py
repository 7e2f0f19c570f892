"""Shared values are k-means centres: few, ordered, no worse than equal steps, the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.coding import nearest_values, shared_values


def error(weights, values):
    return np.square(weights - nearest_values(weights, values)).sum()


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=60), st.integers(1, 9))
def test_values_are_means_of_what_is_nearest(weights, number):
    weights = np.array(weights, "float32")
    values = shared_values(weights, number)
    assert 1 <= len(values) <= number
    assert (np.diff(values) > 0).all()
    nearest = nearest_values(weights, values)
    assert set(nearest) <= set(values)
    np.testing.assert_array_equal(
        np.abs(weights - nearest), np.abs(weights[:, None] - values[None]).min(axis=1), strict=True
    )


def test_a_mixture_is_taken_apart():
    rng = np.random.default_rng(0)
    weights = np.concatenate([rng.normal(centre, 0.01, 100) for centre in (-1, 0.2, 3)])
    np.testing.assert_allclose(shared_values(weights, 3), [-1, 0.2, 3], atol=0.01)


@pytest.mark.parametrize("number", [2, 4, 16])
def test_the_error_is_below_that_of_equal_steps(number):
    weights = np.random.default_rng(0).normal(size=2000)
    low, high = weights.min(), weights.max()
    steps = low + (np.arange(number) + 0.5) * (high - low) / number
    assert error(weights, shared_values(weights, number)) < error(weights, steps)


def test_no_step_of_the_algorithm_is_left():
    weights = np.random.default_rng(0).normal(size=500)
    values = shared_values(weights, 5)
    nearest = nearest_values(weights, values)
    np.testing.assert_allclose([weights[nearest == value].mean() for value in values], values)


def test_fewer_different_weights_than_values_are_kept():
    weights = np.array([0.5, -1, 0.5, 2], "float32")
    values = shared_values(weights, 8)
    assert values.tolist() == [-1, 0.5, 2]
    assert values.dtype == "float32"


def test_a_number_below_one_is_refused():
    with pytest.raises(ValueError, match="number"):
        shared_values(np.ones(3), 0)

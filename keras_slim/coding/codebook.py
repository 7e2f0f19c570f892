"""The few values that stand for many: k-means in one dimension."""

import numpy as np

from keras_slim.validation import check_choice, check_count

_MOST_ROUNDS = 300
_MOST_DRAWN_FROM = 2**16  # weights


def shared_values(weights: np.ndarray, number: int, init: str = "density", *, seed: int = 0) -> np.ndarray:
    """Returns the values that stand for an array with a small squared error.

    Lloyd's algorithm in one dimension: each value is the mean of the weights that are nearest to it, until none of them
    moves. Values that are nearest to no weight are dropped. It finds a local minimum, the same one every time; which
    one, is decided by where it begins.

    Args:
        weights: Array of finite numbers, not empty.
        number: Most values to use. Where there are fewer different weights, these are it.
        init: Where it begins. `"linear"`: in equal steps from the smallest to the largest weight, which leaves values
            for the few large ones. `"density"`: at the quantiles, as many weights for each. `"kmeans++"`: at weights
            drawn by their squared distance to those drawn before, of 65,536 at even ranks if there are more.
        seed: Seed of what `"kmeans++"` draws.

    Returns:
        Sorted array of at most `number` values, of the dtype of the weights.

    Raises:
        ValueError: If `number` is below 1, or `init` is none of the above.

    Reference:
        Han et al. 2016, "Deep Compression" (arXiv 1510.00149), section 3.2; for `"kmeans++"`, Arthur and Vassilvitskii
        2007, "k-means++: the advantages of careful seeding".

    Example:

    >>> shared_values(np.array([0.0, 0.5, 2.0, 2.5]), 2).tolist()
    [0.25, 2.25]
    """
    check_count(number, "number", "shared_values")
    check_choice(init, "init", "shared_values", INITS)
    weights = np.sort(np.asarray(weights), axis=None)
    is_new = np.r_[True, weights[1:] != weights[:-1]]
    if np.count_nonzero(is_new) <= number:
        return weights[is_new]
    totals = np.zeros(len(weights) + 1)
    np.cumsum(weights, out=totals[1:])
    values = _BEGINNINGS[init](weights, number, seed)
    for _ in range(_MOST_ROUNDS):
        ends = np.searchsorted(weights, _middles(values, weights.dtype), side="right")
        bounds = np.unique([0, *ends, len(weights)])
        before, values = values, np.diff(totals[bounds]) / np.diff(bounds)
        if np.array_equal(before, values):
            break
    return np.unique(values.astype(weights.dtype))


def nearest_codes(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the place of the nearest of some values, for each weight.

    Args:
        weights: Array of any shape.
        values: Sorted array of values.

    Returns:
        Array of integers of the shape of `weights`.

    Example:

    >>> nearest_codes(np.array([[0.4, 0.6]]), np.array([0.0, 1.0])).tolist()
    [[0, 1]]
    """
    return np.searchsorted(_middles(values, np.asarray(weights).dtype), weights)


def nearest_values(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns an array with each weight replaced by the nearest of some values.

    Args:
        weights: Array of any shape.
        values: Sorted array of values.

    Returns:
        Array of the shape of `weights` and the dtype of `values`.

    Example:

    >>> nearest_values(np.array([[0.4, 0.6]]), np.array([0.0, 1.0])).tolist()
    [[0.0, 1.0]]
    """
    return values[nearest_codes(weights, values)]


def _middles(values, dtype):
    """Returns the middles between values, each below the upper of the two, to which it may be rounded.

    In the dtype of the weights, which would all be copied else.
    """
    dtype = np.result_type(dtype, 0.0)
    middles = (values[1:].astype("float64") + values[:-1]) / 2
    return np.minimum(middles.astype(dtype), np.nextafter(values[1:].astype(dtype), dtype.type(-np.inf)))


def _linear(weights, number, seed):
    return np.linspace(float(weights[0]), float(weights[-1]), number)


def _density(weights, number, seed):
    ranks = (np.arange(number) + 0.5) / number * len(weights)
    return np.unique(weights[ranks.astype("int64")].astype("float64"))


def _plus_plus(weights, number, seed):
    rng = np.random.default_rng(seed)
    ranks = np.linspace(0, len(weights) - 1, min(len(weights), _MOST_DRAWN_FROM))
    candidates = weights[ranks.astype("int64")].astype("float64")
    values = [rng.choice(candidates)]
    distances = np.square(candidates - values[0])
    while len(values) < number and distances.any():
        values.append(rng.choice(candidates, p=distances / distances.sum()))
        distances = np.minimum(distances, np.square(candidates - values[-1]))
    return np.sort(values)


_BEGINNINGS = {"linear": _linear, "density": _density, "kmeans++": _plus_plus}
INITS = tuple(_BEGINNINGS)

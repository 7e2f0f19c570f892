"""The few values that stand for many: k-means in one dimension."""

import numpy as np

from keras_slim.validation import check_count

_MOST_ROUNDS = 300


def shared_values(weights: np.ndarray, number: int) -> np.ndarray:
    """Returns the values that stand for an array with a small squared error.

    Lloyd's algorithm in one dimension, from the quantiles on: each value is the mean of the weights that are nearest to
    it, until none of them moves. It finds a local minimum, the same one every time.

    Args:
        weights: Array of finite numbers, not empty.
        number: Most values to use. Where there are fewer different weights, these are it.

    Returns:
        Sorted array of at most `number` values, of the dtype of the weights.

    Raises:
        ValueError: If `number` is below 1.

    Example:

    >>> shared_values(np.array([0.0, 0.5, 2.0, 2.5]), 2).tolist()
    [0.25, 2.25]
    """
    check_count(number, "number", "shared_values")
    weights = np.asarray(weights)
    different, counts = np.unique(weights, return_counts=True)
    if len(different) <= number:
        return different
    different = different.astype("float64")
    sums, totals = np.cumsum(counts), np.cumsum(counts * different)
    values = np.unique(np.quantile(weights.astype("float64"), (np.arange(number) + 0.5) / number))
    for _ in range(_MOST_ROUNDS):
        ends = np.searchsorted(different, (values[1:] + values[:-1]) / 2, side="right")
        bounds = np.array([0, *ends, len(different)])
        filled = np.flatnonzero(np.diff(bounds))
        first, last = bounds[filled], bounds[filled + 1] - 1
        size = sums[last] - np.where(first > 0, sums[first - 1], 0)
        total = totals[last] - np.where(first > 0, totals[first - 1], 0)
        before, values = values, total / size
        if np.array_equal(before, values):
            break
    return np.unique(values.astype(weights.dtype))


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
    return values[np.searchsorted((values[1:] + values[:-1]) / 2, weights)]

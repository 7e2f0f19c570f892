"""The picture of weights: how their values are spread, or which few values they share."""

import math
from typing import Any

import keras
import numpy as np

from keras_slim.drawing import BLUE, ORANGE, clean, new_figure

_COLUMNS, _BINS, _MOST_VALUES = 3, 60, 256


def plot_weights(model: keras.Model, *, figure: Any = None) -> Any:
    """Draws the values of each kernel that are not zero: a histogram, or centroids.

    Where a kernel shares up to 256 values, each is a line as high as the number of weights that have it.

    Args:
        model: A built model.
        figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If no weight of the model is a matrix or more.
    """
    kernels = [weight for weight in model.weights if len(weight.shape) > 1]
    if not kernels:
        raise ValueError(
            "Invalid value for argument `model` of `plot_weights`. Expected a model with kernels, weights of two axes "
            f"or more. Received: '{model.name}' without."
        )
    columns = min(_COLUMNS, len(kernels))
    rows = math.ceil(len(kernels) / columns)
    figure = figure or new_figure(4 * columns, 2.4 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, kernel in zip(grid, kernels, strict=False):
        _draw(axes, kernel.path, keras.ops.convert_to_numpy(kernel))
    for axes in grid[len(kernels) :]:
        axes.set_axis_off()
    return figure


def nonzero(kernel) -> np.ndarray:
    """Returns the values of a kernel that are finite and not zero, float64, of one axis."""
    kernel = np.asarray(kernel).astype("float64").ravel()
    return kernel[np.isfinite(kernel) & (kernel != 0)]


def shared_values(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values that numbers share, ascending, and how many have each: none if there are too many of them."""
    values, counts = np.unique(kept, return_counts=True)
    is_shared = len(values) <= min(_MOST_VALUES, kept.size // 2)
    return (values, counts) if is_shared else (values[:0], counts[:0])


def _draw(axes, name, kernel):
    kept = nonzero(kernel)
    values, counts = shared_values(kept)
    if len(values):
        axes.vlines(values, 0, counts, color=ORANGE, linewidth=2)
        axes.set_xlabel(f"{len(values)} shared values")
    else:
        axes.hist(kept, bins=_BINS, color=BLUE)
    axes.set_ylim(bottom=0)
    axes.set_title(f"{name}, {kept.size / max(1, np.size(kernel)):.1%} kept", loc="left", fontsize=9)
    clean(axes)

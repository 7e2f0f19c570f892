"""The picture of weights: how their values are spread, or which few values they share."""

import math
from typing import Any

import keras

from keras_slim.drawing import BLUE, ORANGE, clean, new_figure
from keras_slim.reports.kernel_values import kernel_values

_COLUMNS = 3


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
    kernels = kernel_values(model)
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
        _draw(axes, kernel)
    for axes in grid[len(kernels) :]:
        axes.set_axis_off()
    return figure


def _draw(axes, kernel):
    if kernel.are_shared:
        axes.vlines(kernel.values, 0, kernel.counts, color=ORANGE, linewidth=2)
        axes.set_xlabel(f"{len(kernel.values)} shared values")
    else:
        axes.hist(kernel.values[:-1], bins=kernel.values, weights=kernel.counts, color=BLUE)
    axes.set_ylim(bottom=0)
    axes.set_title(kernel.title, loc="left", fontsize=9)
    clean(axes)

"""The picture of a search: how good each network was that it tried, over its size."""

from typing import Any

from keras_slim.drawing import BLUE, ORANGE, add_legend, clean, new_figure
from keras_slim.errors import invalid_argument
from keras_slim.profiling.table import scaled
from keras_slim.pruning import Trajectory
from keras_slim.reports.pictures import in_words
from keras_slim.validation import check_choice

SIZES = {"units": "units", "params": "parameters", "macs": "multiply-accumulates"}


def plot_trajectory(trajectory: Trajectory, *, of: str | None = None, figure: Any = None) -> Any:
    """Draws how good each network was that a search tried, over its size.

    Use it after a `fit` with `ProgressiveGlobalPruning(max_drop=...)`. It reads from right to left: from the dense
    network along those that held the metric; crosses are those that were given up.

    Args:
        trajectory: Attribute of the same name of the callback.
        of: Size to draw over: `"units"`, `"params"` or `"macs"`. Defaults to multiply-accumulates where they are known,
            else to parameters.
        figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If that size is not known.
    """
    known = [name for name, size in trajectory.points[0].cost.to_dict().items() if size is not None]
    if of is not None and check_choice(of, "of", "plot_trajectory", tuple(SIZES)) not in known:
        raise ValueError(invalid_argument("of", "plot_trajectory", expected=f"one of {known}", received=of))
    of = of or known[-1]
    figure = figure or new_figure(6, 3.6)
    axes = figure.subplots()
    held, given_up = ([point for point in trajectory.points if point.held is kind] for kind in (True, False))
    axes.plot(*_line(held, of), "o-", color=BLUE, linewidth=2, label="held")
    if given_up:
        axes.plot(*_line(given_up, of), "x", color=ORANGE, markersize=8, markeredgewidth=2, label="given up")
    axes.axhline(trajectory.floor, color="black", linewidth=0.9, linestyle=":", label=f"floor {trajectory.floor:.4g}")
    axes.set_title(in_words(trajectory.monitor), loc="left")
    axes.set_xlabel(SIZES[of])
    axes.xaxis.set_major_formatter(lambda value, _: scaled(value))
    axes.set_xlim(0, 1.05 * max(getattr(point.cost, of) for point in trajectory.points))
    clean(axes)
    add_legend(axes)
    return figure


def _line(points, of):
    return [getattr(point.cost, of) for point in points], [point.metric for point in points]

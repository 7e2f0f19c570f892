"""The picture of a search: how good the model of each trial was, over what it costs."""

from typing import Any

from keras_slim.profiling.table import scaled
from keras_slim.reports.pictures import BLUE, ORANGE, add_legend, clean, in_words, new_figure

_LABELS = {
    "params": "parameters",
    "macs": "multiply-accumulates",
    "weight_bytes": "bytes of the weights as they are rounded",
    "bytes": "bytes of the exported file",
    "latency": "milliseconds of the exported file",
}


def plot_trials(trials: Any, of: str | None, figure: Any) -> Any:
    """Draws the picture of `Trials`; see `Trials.plot`."""
    of = trials.known_cost(of, "plot")
    front = trials.pareto(of)
    names = {each.trial for each in front}
    others = [each for each in trials.completed if each.trial not in names and of in each.costs]
    figure = figure or new_figure(6, 3.6)
    axes = figure.subplots()
    if others:
        axes.plot(*_points(others, of), "o", color=BLUE, alpha=0.6, label="trials")
    axes.plot(*_points(front, of), "o-", color=ORANGE, linewidth=2, label="none is both better and smaller")
    for each in front:
        place = each.costs[of], each.metric
        axes.annotate(each.trial, place, xytext=(4, -11), textcoords="offset points", fontsize=9)
    if of == trials.cost:
        axes.axvline(trials.budget, color="black", linewidth=0.9, linestyle=":", label="budget")
    axes.set_title(in_words(trials.monitor), loc="left")
    axes.set_xlabel(_LABELS.get(of, of))
    axes.xaxis.set_major_formatter(lambda value, _: scaled(value))
    clean(axes)
    add_legend(axes)
    return figure


def _points(results, of):
    return [each.costs[of] for each in results], [each.metric for each in results]

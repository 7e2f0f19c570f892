"""Pictures of a pruning: the widths of the layers, and the training it happened in.

The figures belong to no window and no global state: save one with `figure.savefig("report.png")`; a notebook shows it
by itself.
"""

from typing import Any

import keras

from keras_slim.drawing import BLUE, ORANGE, add_legend, clean, draw_before_and_after, height_of, new_figure
from keras_slim.errors import invalid_argument
from keras_slim.profiling.table import scaled

_SIZES = (("Multiply-accumulates", "macs"), ("Parameters", "params"))
METRICS = ("val_accuracy", "accuracy", "val_loss", "loss")


def plot_widths(before: keras.Model, after: keras.Model, *, figure: Any = None) -> Any:
    """Draws how many units each layer had, and how many it has left.

    Args:
        before: The model before.
        after: The smaller model; layers are matched by name, those of inner models by path, such as `encoder/conv`.
        figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the models have no layer with units in common.
    """
    old, new = widths(before), widths(after)
    names = [name for name in old if name in new]
    if not names:
        raise ValueError(
            "Invalid value for argument `after` of `plot_widths`. Expected a model with layers of the same names as "
            f"in `before`: {list(old)}. Received: layers {list(new)}."
        )
    figure = figure or new_figure(6, height_of(len(names)))
    axes = figure.subplots()
    draw_before_and_after(axes, names, [old[name] for name in names], [new[name] for name in names], unit="units")
    axes.set_title("Units per layer", loc="left")
    add_legend(axes)
    return figure


def plot_pruning(
    history: Any,
    rounds_done: list[dict[str, Any]],
    *,
    dense_history: Any = None,
    metric: str | None = None,
    figure: Any = None,
) -> Any:
    """Draws how good and how large a model was, epoch by epoch, while it was pruned.

    Use it after a `fit` with `ProgressiveGlobalPruning`. Dotted lines mark the rounds.

    Args:
        history: What `fit` returned, or its `history` dictionary.
        rounds_done: Attribute of the same name of the callback.
        dense_history: The same as `history` of a training without pruning, to compare with. Optional.
        metric: Which entry of the history to show. Defaults to the first found of `"val_accuracy"`, `"accuracy"`,
            `"val_loss"` and `"loss"`, or else the first entry.
        figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the history has no such metric.
    """
    before = _epochs_before(history)
    history, dense_history = _entries(history), _entries(dense_history)
    metric = check_metric(metric, history)
    figure = figure or new_figure(6, 4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_metric(upper, metric, history, dense_history, before)
    _draw_size(lower, history, before)
    for axes in (upper, lower):
        _mark_rounds(axes, rounds_done)
    lower.set_xlabel("epoch (dotted: a round of pruning)")
    lower.set_xlim(before + 0.5, before + len(history[metric]) + 0.5)
    add_legend(upper)
    return figure


def plot_report(
    before: keras.Model, after: keras.Model, history: Any, rounds_done: list[dict[str, Any]], **options: Any
) -> Any:
    """Draws `plot_widths` and `plot_pruning` side by side.

    Args:
        before: The model before.
        after: The smaller model.
        history: What `fit` returned, or its `history` dictionary.
        rounds_done: Attribute of the same name of `ProgressiveGlobalPruning`.
        **options: As for `plot_pruning`.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the models have no layer in common, or the history lacks the metric.
    """
    figure = new_figure(11, max(4.8, height_of(len(widths(before)))))
    left, right = figure.subfigures(1, 2, width_ratios=(5, 6), wspace=0.04)
    plot_widths(before, after, figure=left)
    plot_pruning(history, rounds_done, figure=right, **options)
    return figure


def widths(model):
    """Returns the units of each layer that says how many it has, by path: `encoder/conv` in an inner model."""
    found = {}
    for layer in model.layers:
        units = getattr(layer, "filters", getattr(layer, "units", None))
        if isinstance(layer, keras.Model):
            found |= {f"{layer.name}/{name}": units for name, units in widths(layer).items()}
        elif isinstance(units, int):
            found[layer.name] = units
    return found


def _entries(history):
    return getattr(history, "history", history) or {}


def _epochs_before(history):
    """Returns how many epochs came before those of a history: `initial_epoch`, where it is that of a `fit`."""
    return next(iter(getattr(history, "epoch", ())), 0)


def check_metric(metric, history):
    found = metric or next((name for name in (*METRICS, *history) if name in history), None)
    if found in history:
        return found
    raise ValueError(
        invalid_argument("metric", "plot_pruning", expected=f"an entry of the history {list(history)}", received=metric)
    )


def _draw_metric(axes, metric, history, dense_history, before):
    values = history[metric]
    axes.plot(_epochs(values, before), values, color=ORANGE, linewidth=2, label="pruned in fit")
    if metric in dense_history:
        dense = dense_history[metric]
        axes.plot(
            _epochs(dense, before), dense, color="black", linewidth=1.2, linestyle=(0, (4, 3)), label="not pruned"
        )
    axes.set_title(in_words(metric), loc="left")
    if metric.endswith("accuracy"):
        axes.set_ylim(*_accuracy_limits([*settled(values), *settled(dense_history.get(metric, []))]))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    clean(axes)


def _draw_size(axes, history, before):
    name, sizes = size_history(history)
    if sizes:
        axes.stairs(sizes, [before + epoch + 0.5 for epoch in range(len(sizes) + 1)], fill=True, color=BLUE)
        axes.yaxis.set_major_formatter(lambda value, _: scaled(value))
        axes.set_ylim(0, 1.1 * max(sizes))
        name = f"{name}: {scaled(sizes[0])} to {scaled(sizes[-1])}"
    axes.set_title(name, loc="left")
    clean(axes)


def size_history(history):
    """Returns what the history has of the size of the model: its name, and a value per epoch."""
    label, entry = next((each for each in _SIZES if each[1] in history), _SIZES[0])
    return label, history.get(entry, [])


def _mark_rounds(axes, rounds_done):
    for each in rounds_done:  # a cut is made before its epoch; epochs are drawn from 1
        axes.axvline(each["epoch"] + 0.5, color="black", linewidth=0.9, linestyle=":", alpha=0.7)


def settled(values):
    """Returns a history without its first fifth, in which accuracy climbs from chance."""
    return values[len(values) // 5 :]


def _accuracy_limits(values):
    margin = 0.08 * (1 - min(values)) + 0.002
    return max(0, min(values) - margin), min(1, max(values)) + margin


def _epochs(values, before):
    return range(before + 1, before + len(values) + 1)


def in_words(metric):
    return metric.replace("val_", "validation ").replace("_", " ").capitalize()

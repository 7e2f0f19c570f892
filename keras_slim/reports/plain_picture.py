"""The picture of a pruning with nothing but what is installed anyway: bars of text, drawn as SVG by rich.

For where matplotlib is missing; with it, `plot_report` draws the same in more detail.
"""

import io
import itertools
from typing import Any

import keras
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

from keras_slim.profiling.table import scaled
from keras_slim.reports.pictures import BLUE, ORANGE, PALE, check_metric, in_words, settled, size_history, widths

COLUMNS, BAR = 100, 40
LEVELS = "▁▂▃▄▅▆▇█"


def draw_svg(
    before: keras.Model, after: keras.Model, history: dict, rounds_done: list[dict[str, Any]], *, title: str = ""
) -> str:
    """Returns the units of each layer, and quality and size over the rounds, as an SVG image.

    Args:
        before: The model before.
        after: The smaller model; layers are matched by name.
        history: Dictionary of the `fit` in which it was pruned.
        rounds_done: Attribute of the same name of `ProgressiveGlobalPruning`.
        title: Words above the picture.

    Returns:
        The text of the image.
    """
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system="truecolor")
    console.print(Group(_widths_table(widths(before), widths(after)), "", _rounds_table(history, rounds_done)))
    return console.export_svg(title=title, theme=DEFAULT_TERMINAL_THEME)


def _widths_table(old, new):
    """Returns a bar for each layer that both models have: left, and gone."""
    table = _table("layer", "", "units")
    largest = max(old.values())
    for name in filter(new.__contains__, old):
        table.add_row(name, _bar(new[name] / largest, old[name] / largest), f"{new[name]} of {old[name]}")
    return table


def _rounds_table(history, rounds_done):
    """Returns a row for each stretch between two rounds: its epochs, the size, how the metric went, and its end."""
    metric = check_metric(None, history)
    label, sizes = size_history(history)
    values = history[metric]
    edges = [0, *(each["epoch"] for each in rounds_done), len(values)]
    table = _table("epochs", label, "left", in_words(metric), "at the end")
    for first, last in itertools.pairwise(edges):
        table.add_row(
            f"{first + 1} to {last}",
            _bar(sizes[last - 1] / sizes[0], 1),
            scaled(sizes[last - 1]),
            Text(_line(values[first:last], settled(values)), style=ORANGE),
            f"{values[last - 1]:.4g}",
        )
    return table


def _table(*columns):
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name)
    return table


def _bar(now, then):
    now, then = round(BAR * now), round(BAR * then)
    return Text.assemble((" " * now, f"on {BLUE}"), (" " * (then - now), f"on {PALE}"))


def _line(values, scale):
    """Returns values as a line of small bars, between the lowest and the highest of others."""
    step = (max(scale) - min(scale)) / (len(LEVELS) - 1) or 1
    levels = (round((value - min(scale)) / step) for value in values)
    return "".join(LEVELS[min(max(0, level), len(LEVELS) - 1)] for level in levels)

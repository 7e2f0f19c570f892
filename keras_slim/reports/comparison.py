"""A table of two columns, before and after: numbers first, words second."""

import dataclasses
from typing import Any

import keras
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_slim.profiling import profile
from keras_slim.validation import check_choice

_FORMATS = {
    "count": lambda value: f"{value:,}",
    "bytes": lambda value: f"{value:,} B",
    "ms": lambda value: f"{value:.3f} ms",
    "share": lambda value: f"{value:.1%}",
    "dB": lambda value: f"{value:.1f} dB",
    "number": lambda value: f"{value:.4g}",
}


@dataclasses.dataclass(frozen=True)
class ComparisonRow:
    """One quantity, before and after.

    Args:
        label: What it is.
        before: Its value before; None where there is none.
        after: Its value after; None where there is none.
        unit: `"count"`, `"bytes"`, `"ms"`, `"share"` (from 0 to 1, such as an accuracy), `"dB"` or `"number"`.

    Example:

    >>> ComparisonRow("multiply-accumulates", 2000, 500).change
    '-75.0%'
    >>> ComparisonRow("test accuracy", 0.99, 0.985, "share").change
    '-0.5 points'
    """

    label: str
    before: float | None
    after: float | None
    unit: str = "count"

    def __post_init__(self):
        check_choice(self.unit, "unit", "ComparisonRow", tuple(_FORMATS))

    @property
    def change(self) -> str:
        """The difference as a share of the value before; for a share, in points; empty for decibels."""
        if self.unit == "dB" or self.before is None or self.after is None:
            return ""
        difference = self.after - self.before
        if self.unit == "share":
            return f"{100 * difference:+.1f} points"
        return f"{difference / self.before:+.1%}" if self.before else ""

    def cells(self) -> tuple[str, str, str, str]:
        """Returns the row as it is shown: label, before, after, change."""
        return self.label, self._show(self.before), self._show(self.after), self.change

    def _show(self, value):
        return "" if value is None else _FORMATS[self.unit](value)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Quantities before and after. Its text is a table.

    Args:
        rows: The quantities, each a `ComparisonRow`.
        title: What is compared.
        columns: Headings of the two columns.

    Example:

    >>> print(Comparison([ComparisonRow("parameters", 1000, 250)], title="A network").to_markdown())
    | A network | before | after | change |
    |---|--:|--:|--:|
    | parameters | 1,000 | 250 | -75.0% |
    """

    rows: tuple[ComparisonRow, ...]
    title: str = ""
    columns: tuple[str, str] = ("before", "after")

    def __post_init__(self):
        object.__setattr__(self, "rows", tuple(self.rows))

    def extended(self, *rows: ComparisonRow) -> "Comparison":
        """Returns this comparison with more rows at its end."""
        return dataclasses.replace(self, rows=(*self.rows, *rows))

    def to_dict(self) -> dict[str, Any]:
        """Returns title, columns and rows as plain values that JSON can hold."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """Returns the table in Markdown."""
        lines = [(self.title, *self.columns, "change"), *(row.cells() for row in self.rows)]
        heading, *body = (f"| {' | '.join(map(_in_markdown, line))} |" for line in lines)
        return "\n".join([heading, "|---|--:|--:|--:|", *body])

    def __rich__(self) -> Table:
        table = Table(title=escape(self.title) or None, box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("", overflow="fold")
        for heading in (*self.columns, "change"):
            table.add_column(escape(heading), justify="right", overflow="fold")
        for row in self.rows:
            table.add_row(*map(escape, row.cells()))
        return table

    def __str__(self) -> str:
        console = Console(width=100, color_system=None, highlight=False)
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n")


def shown(value) -> str:
    """Returns a setting or a number as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _in_markdown(cell):
    return cell.replace("|", r"\|").replace("<", "&lt;")


def compare_models(before: keras.Model, after: keras.Model, title: str = "") -> Comparison:
    """Puts what a model costs beside what its smaller self costs.

    Args:
        before: A built Functional or Sequential model.
        after: Another one, such as `prune(before, ratio=0.5)`.
        title: What is compared. Defaults to the name of `after`.

    Returns:
        A `Comparison` of parameters and multiply-accumulates.

    Raises:
        ValueError: If a model is not built, or its inputs have dimensions of unknown size that matter.
        UnsupportedLayerError: If a model is subclassed.

    Example:

    >>> import keras, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32), keras.layers.Dense(2)])
    >>> comparison = compare_models(model, slim.prune(model, ratio=0.5))
    >>> [(row.before, row.after, row.change) for row in comparison.rows]
    [(226, 114, '-49.6%'), (192, 96, '-50.0%')]
    """
    old, new = profile(before), profile(after)
    rows = (
        ComparisonRow("parameters", old.parameters, new.parameters),
        ComparisonRow("multiply-accumulates", old.macs, new.macs),
    )
    return Comparison(rows, title=title or after.name)

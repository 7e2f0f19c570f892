"""How good a file is on a data set: metrics, and what it changes; numbers first, a table second."""

import dataclasses

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from keras_slim.export.agreement import Agreement
from keras_slim.export.class_changes import ClassChange
from keras_slim.plain_text import printed

_MOST_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A file on a data set, perhaps beside its model; printed, tables.

    Args:
        path: Path of the file.
        quantize: What the file holds: None for float32, `"float16"`, `"dynamic"` or `"int8"`.
        samples: Number of samples.
        metrics: The metrics of the file by name: floats, or lists of them.
        model_metrics: The same metrics of the Keras model; None without one.
        agreement: How far the two are apart; None without a model.
        classes: What changes class by class, a `ClassChange` each; empty without a model or classes.
    """

    path: str
    quantize: str | None
    samples: int
    metrics: dict
    model_metrics: dict | None = None
    agreement: Agreement | None = None
    classes: tuple[ClassChange, ...] = ()

    @property
    def changed(self) -> int:
        """How many samples the file puts in another class than the model does, over all outputs with classes."""
        return sum(each.changed for each in self.classes)

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values, as JSON can hold them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        agreement = None if self.agreement is None else self.agreement.to_dict()
        return plain | {"agreement": agreement, "classes": [each.to_dict() for each in self.classes]}

    def __str__(self) -> str:
        rows = [("file", self.path), ("precision", self.quantize or "float32"), ("samples", f"{self.samples:,}")]
        parts = ["\n".join(f"{label:<12}{value}" for label, value in rows), printed(self._metrics_table())]
        if self.agreement is not None:
            parts.append(str(self.agreement))
        if self.classes:
            parts.append(printed(self._classes_table()))
            hidden = len(self.classes) - _MOST_CLASSES
            parts += [f"{hidden:,} more classes, in `classes` and in JSON."] if hidden > 0 else []
        return "\n\n".join(parts)

    def _metrics_table(self):
        headings = ("File",) if self.model_metrics is None else ("Keras", "File", "Change")
        table = _table("Metric", *headings)
        for name, value in self.metrics.items():
            if self.model_metrics is None:
                table.add_row(escape(name), _shown(value))
            else:
                before = self.model_metrics[name]
                change = np.mean(value) - np.mean(before)
                table.add_row(escape(name), _shown(before), _shown(value), f"{change:+.4f}")
        return table

    def _classes_table(self):
        several = len({each.output for each in self.classes}) > 1
        table = _table("Class", "Samples", "Keras", "File", "Change", "Answered otherwise")
        shown = sorted(self.classes, key=lambda each: -each.changed)[:_MOST_CLASSES]
        for each in sorted(shown, key=self.classes.index):
            change = 100 * (each.file_accuracy - each.model_accuracy)
            table.add_row(
                escape(f"{each.output} {each.label}" if several else f"{each.label}"),
                f"{each.samples:,}",
                f"{each.model_accuracy:.1%}",
                f"{each.file_accuracy:.1%}",
                f"{change:+.1f} points",
                f"{each.changed:,}",
            )
        return table


def _table(first, *headings):
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _shown(value):
    return f"{value:.4f}" if np.ndim(value) == 0 else f"{np.mean(value):.4f}, mean of {np.size(value)}"

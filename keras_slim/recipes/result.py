"""What a recipe has made, and what each of its steps cost and saved."""

import dataclasses
import os
from typing import Any

import keras
from rich import box
from rich.table import Table

from keras_slim.plain_text import printed
from keras_slim.plain_values import finite
from keras_slim.recipes.measuring import ModelCost


@dataclasses.dataclass(frozen=True)
class StepReport:
    """What one step did.

    Args:
        name: Name of the step.
        options: Its options as it was carried out, those that are not the default ones.
        strength: How much of what was asked was done, from 0, left out, to 1.
        before: What the model cost before it.
        after: What it, or the file that the step wrote, costs.
        metric_before: The metric before it; `None` where none is measured.
        metric_after: The metric after it; of the file, where the step wrote one.
        seconds: How long it took.
        notes: What else there is to say.
        file: Path of the file it wrote; `None` if it wrote none.
        details: What the function that wrote the file reports, as plain values; `None` if it wrote none.
    """

    name: str
    options: dict
    strength: float
    before: ModelCost
    after: ModelCost
    metric_before: float | None
    metric_after: float | None
    seconds: float
    notes: tuple[str, ...] = ()
    file: str | None = None
    details: dict | None = None


@dataclasses.dataclass(frozen=True)
class RecipeResult:
    """What `Recipe.apply` returns. Its text is a table of the steps.

    Args:
        model: The model that is left, compiled as the user's is.
        steps: A `StepReport` for each step, in order.
        metric: Name of the metric; `None` where none is measured.
        before: What the model cost before the recipe.
        metric_before: Its metric before the recipe.
        metric_after: That of the model that is left.
        max_drop: How much worse the metric was allowed to become; `None` for any.
        left_alone: Paths of the layers that every step has left as they are.
        files: Paths of the files that were written, by their names.
    """

    model: keras.Model
    steps: tuple[StepReport, ...]
    metric: str | None
    before: ModelCost
    metric_before: float | None
    metric_after: float | None
    max_drop: float | None = None
    left_alone: tuple[str, ...] = ()
    files: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns all but the model as plain values that JSON can hold; `None` for what is infinite or no number."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "model"}
        plain = {**fields, "before": dataclasses.asdict(self.before)}
        return finite({**plain, "steps": [dataclasses.asdict(step) for step in self.steps]})

    def __str__(self):
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("step")
        for heading in ("parameters", "not zero", "MACs", "bytes", *([self.metric] if self.metric else []), "seconds"):
            table.add_column(heading, justify="right")
        table.add_row("before", *_numbers(self.before), *self._metric(self.metric_before), "")
        for step in self.steps:
            cells = (*_numbers(step.after), *self._metric(step.metric_after), f"{step.seconds:.1f}")
            table.add_row(_title(step), *cells)
        notes = [f"{step.name}: {note}" for step in self.steps for note in step.notes]
        if self.left_alone:
            notes.append(f"Left alone by every step: {', '.join(map(repr, self.left_alone))}.")
        if self.max_drop is not None:
            notes.append(f"{self.metric} holds: at most {self.max_drop:g} worse than {self.metric_before:.4g}.")
        return "\n".join(filter(None, (printed(table), *notes)))

    def _metric(self, value):
        return (f"{value:.4f}",) if self.metric else ()


def _title(step):
    title = " ".join(filter(None, (step.name, os.path.basename(step.file or ""))))
    if step.strength == 1:
        return title
    return f"{title}, {f'{step.strength:.0%} of it' if step.strength else 'left out'}"


def _numbers(cost):
    macs = "" if cost.macs is None else f"{cost.macs:,}"
    return f"{cost.parameters:,}", f"{cost.nonzero:,}", macs, f"{cost.bytes:,}"

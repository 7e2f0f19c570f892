"""What a model costs in a trial: counted after each epoch, and measured on its file once it is as small as it gets."""

import math
import warnings
from typing import Any

import keras

from keras_slim.errors import SlimWarning, did_you_mean, first_sentence, invalid_argument
from keras_slim.export.checked_conversion import load_unproved
from keras_slim.export.latency import time_file
from keras_slim.profiling import profile
from keras_slim.profiling.sizes import UnknownDimensionError
from keras_slim.pruning import Measure
from keras_slim.pruning.measures import OTHER_NAMES
from keras_slim.rewriting.calibration import rounding_layers

COUNTED = ("params", "macs", "weight_bytes")
MEASURED = ("bytes", "latency")
COSTS = (*COUNTED, *MEASURED)

_FOLLOWED_BY = {"macs": "macs", "latency": "macs"}
_RUNS, _WARMUP_RUNS = 50, 5


def check_cost(cost: str | Measure, owner: str) -> str | Measure:
    """Returns what is held to the budget, or raises `ValueError` or `TypeError`."""
    if isinstance(cost, Measure):
        if cost.alias:
            return cost
        expected = "a measure with an attribute `alias`, the name of what it measures"
        raise ValueError(invalid_argument("cost", owner, expected=expected, received=cost))
    if cost in COSTS:
        return cost
    error = ValueError if isinstance(cost, str) else TypeError
    hint = OTHER_NAMES.get(str(cost).lower()) or did_you_mean(cost, COSTS)
    expected = f"one of {list(COSTS)}, or a `keras_slim.pruning.Measure`"
    raise error(invalid_argument("cost", owner, expected=expected, received=cost, hint=hint))


class Costs:
    """Tells what a model costs that becomes smaller from time to time.

    What was found is kept for as long as the model has the same weights and rounds them alike.

    Args:
        cost: What is held to the budget: one of `COSTS`, or a `Measure`.
        exports: Whether the file's bytes and latency are measured, also if something else is held to the budget.
        owner: Name of the class, for error messages.

    Attributes:
        name: What the cost is called that is held to the budget.
    """

    def __init__(self, cost: str | Measure, exports: bool, owner: str):
        self._measure = None if isinstance(cost, str) else cost
        self.name = cost if isinstance(cost, str) else cost.alias
        self._exports = exports or self.name in MEASURED
        self._owner = owner
        self._structure: Any = None
        self._known: dict[str, float] = {}

    @property
    def of(self) -> str:
        """The count that pruning takes a share of, so that the cost follows: `"params"` or `"macs"`."""
        counted = self._measure.counted if self._measure else _FOLLOWED_BY.get(self.name, "params")
        return "macs" if counted == "macs" else "params"

    def of_model(self, model: keras.Model, is_done: bool) -> dict[str, float]:
        """Returns the costs of a model by name; those that are measured are not a number before it is done.

        Raises:
            ExportError: If what is held to the budget is measured on a file, and the model does not convert.
            ValueError: If what is held to the budget cannot be counted.

        Warns:
            SlimWarning: If the model does not convert, and something else is held to the budget.
        """
        structure = is_done, [(weight.path, tuple(weight.shape)) for weight in model.weights]
        if structure != self._structure:
            measured = self._measured(model) if is_done else dict.fromkeys(self._to_measure(), math.nan)
            self._structure, self._known = structure, {**self._counted(model), **measured}
        return self._known

    def _counted(self, model):
        try:
            found = profile(model)
        except UnknownDimensionError as error:
            if self.name == "macs":
                raise ValueError(
                    f"The multiply-accumulates of model '{model.name}' are not known, since its inputs have dimensions "
                    "of unknown size. Expected all but the batch to be known. Take another `cost`, such as 'params'."
                ) from error
            return {"params": float(model.count_params())}
        return {"params": found.parameters, "macs": found.macs, "weight_bytes": math.ceil(found.bits / 8)}

    def _to_measure(self):
        return (*(MEASURED if self._exports else ()), *([self.name] if self._measure else []))

    def _measured(self, model):
        measured = {}
        if self._exports:
            measured |= self._of_file(model)
        if self._measure:
            begun = self._measure.meter(model)
            counted = self._counted(model)
            measured[self.name] = counted[self._measure.counted] if begun is None else begun[0]
        return measured

    def _of_file(self, model):
        try:
            file = load_unproved(model, "int8" if rounding_layers(model) else None, self._owner)
        except (RuntimeError, ValueError) as error:  # `ExportError` is one of the first
            if self.name in MEASURED:
                raise
            warnings.warn(
                f"Model '{model.name}' does not convert, so its bytes and latency are not known: "
                f"{first_sentence(error)}",
                SlimWarning,
                stacklevel=2,
            )
            return dict.fromkeys(MEASURED, math.nan)
        return {"bytes": file.size, "latency": time_file(file, 1, _RUNS, _WARMUP_RUNS).median_ms}

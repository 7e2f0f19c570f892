"""What a trial writes into the logs of each epoch: what its model costs, and the score it is judged by."""

import math
from collections.abc import Callable

import keras

from keras_slim.scoring.direction import infer_mode
from keras_slim.tuning.costs import Costs
from keras_slim.validation import import_extra

SCORE = "score"
"""Name of the score in the logs."""


def import_tuner():
    """Returns keras-tuner, or raises `MissingExtraError`."""
    return import_extra("keras_tuner", extra="tuning", feature="A search with keras-tuner")


class Scoring(keras.callbacks.Callback):
    """Puts costs and score into the logs, before the callbacks behind it read them.

    The score is `metric - penalty * max(0, cost / budget - 1)`, where less of the metric is better with `-metric`. It
    is minus infinity after an epoch with a model that is not yet as small as it gets, or that did not measure the
    metric: no such epoch is ever the best.

    Args:
        monitor: Name of the metric in the logs.
        mode: Which way it is better, `"max"`, `"min"` or `"auto"`.
        costs: The `Costs`; `costs.name` is held to the budget.
        budget: In the unit of that cost.
        penalty: What is taken off the metric where the cost is twice the budget.
        is_done: Function of the model that tells whether it is as small as it gets.
        owner: Name of the class, for error messages.

    Attributes:
        mode: Which way the metric is better, `"max"` or `"min"`.
        last: The last epoch's `epoch`, `metric`, `score` and `costs`.
        best: The best score so far.
    """

    def __init__(
        self,
        monitor: str,
        mode: str,
        costs: Costs,
        budget: float,
        penalty: float,
        is_done: Callable[[keras.Model], bool],
        owner: str,
    ):
        super().__init__()
        self._monitor = monitor
        self._costs = costs
        self._budget = budget
        self._penalty = penalty
        self._is_done = is_done
        self._owner = owner
        self.mode = mode
        self.last: dict = {}
        self.best = -math.inf
        self._is_measured = False

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if self._monitor not in logs and self._is_missed(logs):
            raise self._unknown_metric(logs)
        if self._monitor in logs and self.mode == "auto":
            self.mode = self._inferred()
        metric = float(logs.get(self._monitor, math.nan))
        self._is_measured |= self._monitor in logs
        is_done = self._is_done(self.model)
        costs = self._costs.of_model(self.model, is_done)
        score = self._score(metric, costs[self._costs.name]) if is_done else -math.inf
        self.last = {"epoch": epoch, "metric": metric, "score": score, "costs": dict(costs)}
        self.best = max(self.best, score)
        logs.update({name: float(value) for name, value in costs.items()}, **{SCORE: score})

    def on_train_end(self, logs=None):
        if not self._is_measured:
            raise self._unknown_metric(logs or {})

    def _score(self, metric, cost):
        signed = metric if self.mode == "max" else -metric
        score = signed - self._penalty * max(0.0, cost / self._budget - 1)
        return score if math.isfinite(score) else -math.inf

    def _inferred(self):
        try:
            return infer_mode(self._monitor, self.model, self._owner)
        except ValueError as error:
            raise import_tuner().errors.FatalValueError(str(error)) from error

    def _is_missed(self, logs):
        """Tells whether an epoch should have measured the metric; not every one validates."""
        return not self._monitor.startswith("val_") or any(name.startswith("val_") for name in logs)

    def _unknown_metric(self, logs):
        return import_tuner().errors.FatalValueError(
            f"`{self._owner}` judges trials by {self._monitor!r}, which is not in the logs of `fit`. Expected one of "
            f"{list(logs)} as `monitor`. Name another metric, compile the model with this one, or give "
            "`tuner.search` its `validation_data`."
        )

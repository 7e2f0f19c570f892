"""The trials of a search as data: what was asked, how good and how large the model became, and which are worth a look.

Each trial leaves a record and its model in its folder. So they can be read without keras-tuner, also while the search
goes on, and when several processes share it.
"""

import dataclasses
import json
import math
import os
import pathlib
from typing import Any

import keras
from rich import box
from rich.markup import escape
from rich.table import Table

from keras_slim.errors import invalid_argument
from keras_slim.plain_text import printed
from keras_slim.plain_values import finite
from keras_slim.tuning.checkpoint import FILE
from keras_slim.whole_files import written_whole

VERSION = 1
RECORD = "compression.json"
"""Name of the record in the folder of a trial."""

COMPLETED = "COMPLETED"
_OWNER = "read_trials"


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """One trial of a search.

    Args:
        trial: Its number, as keras-tuner calls it.
        status: `"COMPLETED"`, `"RUNNING"`, `"INVALID"` or `"FAILED"`, as keras-tuner says.
        settings: The value of each setting that was searched, those of the user's own hyperparameters too.
        metric: The metric after its best epoch; `None` before there was one.
        score: The score after that epoch; `None` before there was one.
        costs: What its model costs, by name: `params`, `macs`, `weight_bytes`, `bytes`, and `latency` in milliseconds,
            as far as they are known.
        epoch: That epoch, as in `history.epoch`.
        failure: Why it failed, if it did.
        folder: Where its model is.
    """

    trial: str
    status: str
    settings: dict[str, Any]
    metric: float | None
    score: float | None
    costs: dict[str, float]
    epoch: int | None
    failure: str
    folder: str

    def load_model(self) -> keras.Model:
        """Returns the model of the trial, compiled, as it was after its best epoch.

        Raises:
            ValueError: If it has none, since it failed or has not come that far.
        """
        path = pathlib.Path(self.folder, FILE)
        if self.failure or not path.exists():
            raise ValueError(
                f"Trial {self.trial} has no model. Expected one that is completed. Received: {self.status} "
                f"{self.failure}".rstrip()
            )
        return keras.models.load_model(path)


@dataclasses.dataclass(frozen=True)
class Trials:
    """The trials of a search. Its text is a table.

    Args:
        monitor: Name of the metric they were judged by.
        mode: Which way it is better, `"max"` or `"min"`.
        cost: Name of the cost that was held to the budget.
        budget: The budget, in the unit of that cost.
        results: The trials in order, each a `TrialResult`.
    """

    monitor: str
    mode: str
    cost: str
    budget: float
    results: tuple[TrialResult, ...]

    @property
    def completed(self) -> tuple[TrialResult, ...]:
        """The trials that ended well."""
        return tuple(each for each in self.results if each.status == COMPLETED and each.score is not None)

    @property
    def best(self) -> TrialResult:
        """The trial with the best score.

        Raises:
            ValueError: If none has ended well.
        """
        if not self.completed:
            raise ValueError(f"No trial has ended well yet, so there is no best one. Received: {self}")
        return max(self.completed, key=_score)

    def pareto(self, of: str | None = None) -> tuple[TrialResult, ...]:
        """Returns the trials that none other beats in both metric and cost, from the smallest to the best.

        Args:
            of: Name of the cost. Defaults to that which was held to the budget.

        Raises:
            ValueError: If that cost is not known.
        """
        of = self.known_cost(of, "pareto")
        known = [each for each in self.completed if math.isfinite(each.costs.get(of, math.nan))]
        front: list[TrialResult] = []
        for each in sorted(known, key=lambda each: (each.costs[of], -self._goodness(each))):
            if not front or self._goodness(each) > self._goodness(front[-1]):
                front.append(each)
        return tuple(front)

    def _goodness(self, result):
        return result.metric if self.mode == "max" else -result.metric

    def known_cost(self, of: str | None, owner: str) -> str:
        """Returns the name of a cost, by default that which was held to the budget, or raises `ValueError`."""
        known = list(dict.fromkeys(name for each in self.completed for name in each.costs))
        if of is None or of in known:
            return of or self.cost
        raise ValueError(invalid_argument("of", owner, expected=f"one of {known}", received=of))

    def plot(self, *, of: str | None = None, figure: Any = None) -> Any:
        """Draws how good each trial's model was over what it costs, and joins those that no other beats.

        Args:
            of: Name of the cost. Defaults to that which was held to the budget.
            figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ValueError: If that cost is not known.
        """
        from keras_slim.tuning.trials_picture import plot_trials

        return plot_trials(self, of, figure)

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as plain values that JSON can hold; `None` for what is infinite or no number."""
        return finite(dataclasses.asdict(self))

    def __str__(self) -> str:
        failed = [f"Trial {each.trial} failed: {each.failure}" for each in self.results if each.failure]
        return printed(_table(self), *failed)


def read_trials(tuner: Any) -> Trials:
    """Returns the trials of a search, those of other processes too.

    Args:
        tuner: A tuner of keras-tuner, or its folder: `directory/project_name`.

    Returns:
        The `Trials`.

    Raises:
        ValueError: If there is no trial of a `CompressionHyperModel` in it.
    """
    folder = pathlib.Path(getattr(tuner, "project_dir", tuner))
    found = [_read(each) for each in sorted(folder.glob("trial_*"))]
    records = [(record, result) for record, result in found if record]
    if not records:
        expected = "a tuner, or its folder `directory/project_name`, with a trial that has come to its first score"
        raise ValueError(invalid_argument("tuner", _OWNER, expected=expected, received=str(folder)))
    record = max(records, key=lambda each: bool(each[0]["mode"]))[0]
    results = tuple(result for _, result in found if result)
    return Trials(record["monitor"], record["mode"], record["cost"], record["budget"], results)


def write_record(folder: str | os.PathLike, record: dict[str, Any]) -> None:
    """Writes what became of a trial into its folder."""
    with written_whole(pathlib.Path(folder, RECORD), ending=".json") as scratch:
        pathlib.Path(scratch).write_text(json.dumps({"version": VERSION, **record}), encoding="utf-8")


def _read(folder):
    """Returns the record of a trial, and its `TrialResult`; `None` for what it has not."""
    trial, record = (_json(folder / name) for name in ("trial.json", RECORD))
    if trial is None or (record is None and not trial["message"]):
        return None, None
    if record is not None and record["version"] != VERSION:
        return None, None
    record = record or {}
    failure = record.get("failure") or (trial["message"] or "").strip().rpartition("\n")[2]
    is_scored = record.get("score") is not None and not failure
    result = TrialResult(
        trial=trial["trial_id"],
        status=trial["status"],
        settings=record.get("settings", trial["hyperparameters"]["values"]),
        metric=record["metric"] if is_scored else None,
        score=record["score"] if is_scored else None,
        costs=record["costs"] if is_scored else {},
        epoch=record["epoch"] if is_scored else None,
        failure=failure,
        folder=str(folder),
    )
    return record, result


def _json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _table(trials):
    front = {each.trial for each in trials.pareto()}
    costs = list(dict.fromkeys(name for each in trials.completed for name in each.costs))
    title = f"Trials; {trials.cost} held to {_number(trials.cost, trials.budget)}; * none is both better and smaller"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("Trial", no_wrap=True)
    table.add_column("Settings", overflow="fold", ratio=1)
    for heading in (trials.monitor, *costs, "score"):
        table.add_column(_heading(heading), justify="right", overflow="fold")
    for each in sorted(trials.results, key=_score, reverse=True):
        cells = ["" if name not in each.costs else _number(name, each.costs[name]) for name in costs]
        metric, score = ("" if value is None else f"{value:.4f}" for value in (each.metric, each.score))
        status = "" if each.status == COMPLETED else f" {each.status.lower()}"
        name = f"{each.trial}{'*' if each.trial in front else ''}{status}"
        table.add_row(escape(name), escape(_settings(each.settings)), metric, *cells, score)
    return table


def _heading(name):
    """Returns a name below which numbers stand, in narrow lines that leave place for the settings."""
    return escape(name.replace("_", "\n")) + ("\nms" if name == "latency" else "")


def _score(result) -> float:
    return -math.inf if result.score is None else result.score


def _settings(settings):
    return ", ".join(_setting(name, value) for name, value in settings.items())


def _setting(name, value):
    return value if isinstance(value, str) else f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"


def _number(name, value):
    if math.isnan(value):
        return "?"
    return f"{value:.3f}" if name == "latency" else f"{value:,.0f}" if value >= 100 else f"{value:.4g}"

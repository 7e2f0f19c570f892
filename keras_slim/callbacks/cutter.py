"""Cutting the model of a callback in the middle of `fit`: what all callbacks that remove units have in common.

When to cut, how much and what then, the callback says. Whatever is done to the model that is cut is done here.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.callbacks.garbage import Garbage
from keras_slim.callbacks.in_place import check_in_place, say_opened
from keras_slim.distribution import scope_of
from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.pruning.budget import Budget
from keras_slim.pruning.calibration import Calibration, calibrated, calibration_inputs, check_calibration
from keras_slim.pruning.costs import Cost
from keras_slim.pruning.guards import parts_of_groups
from keras_slim.pruning.last_look import check_rebuilt
from keras_slim.pruning.selection import protect
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.subject import Subject
from keras_slim.pruning.surgery import rebuild
from keras_slim.scoring import check_data, unit_scores
from keras_slim.scoring.data import build_on, drawn, first_inputs


@dataclass(frozen=True)
class Ranking:
    """The units of a network as it is now: which of them go first, and which may not go.

    Args:
        graph: Its channel graph.
        scores: Array of shape `(graph.num_units,)`, comparable over all groups.
        protected: Boolean array of the same shape: units that stay.
        align: Function that rounds numbers of kept units, as `Guards.aligner` returns it.
        data: What was looked at, which may be passed over again.
    """

    graph: ChannelGraph
    scores: np.ndarray
    protected: np.ndarray
    align: Callable
    data: Any = None

    def down_to(self, target: float, budget: Budget, now: Cost) -> tuple[np.ndarray, Cost]:
        """Returns which units stay so that a cost is reached, a boolean array, and the `Cost` that this leads to."""
        return budget.cut(self.graph, self.scores, self.protected, self.align, target, now)

    def structure(self, keep: np.ndarray) -> dict[str, int]:
        """Returns the number of units that each layer keeps."""
        return {name: int(keep[units].sum()) for name, units in self.graph.layers.items()}


def build(callback: Any) -> None:
    """Builds the model of a callback on its data, if it has not been called yet; `data` for a part may not fit it."""
    with contextlib.suppress(*([ValueError] if callback.part else [])):
        build_on(callback.model, callback.data, type(callback).__name__)


class Cutter:
    """Cuts the model of a callback: looks at it before training, then ranks its units and replaces it in each round.

    It is made when `fit` begins, with the model as it was before the first cut.

    Args:
        callback: The callback. Its attributes `criterion`, `debias`, `data`, `steps`, `guards`, `ignore`, `part`
            and `verbose` say how.
        calibration: How cuts are made up for with the data. Defaults to not at all.

    Attributes:
        subject: The `Subject`, which is cut.
        structure: Number of units of each layer before the first cut; known from `check` on.
        scores: Scores of the units of each layer, as they were ranked last; `None` before.
    """

    def __init__(self, callback: Any, calibration: Calibration | None = None):
        self._asked = callback
        self._owner = type(callback).__name__
        build(callback)
        self.subject = Subject(callback.model, callback.part, callback.ignore, self._owner)
        self._calibration = calibration or check_calibration(False, self._owner)
        self._is_exchanged = False
        self.scores: dict[str, np.ndarray] | None = None

    def look(self) -> ChannelGraph:
        """Returns the channel graph of the model, after functions that nobody knows were tried on the data."""
        subject, data = self.subject, self._asked.data
        return subject.analyse(batch=lambda: first_inputs(data, subject.twin, owner=self._owner))

    def check(self, graph: ChannelGraph) -> None:
        """Says what is wrong with the model and the data before training, and remembers how large the layers are."""
        asked, data, owner = self._asked, self._asked.data, self._owner
        check_in_place(self.subject, graph, owner)
        check_data(graph, asked.criterion, data, debias=asked.debias, steps=asked.steps, owner=owner)
        batches = self._calibration_inputs(data)
        if batches is not None and not hasattr(data, "__next__"):
            next(batches())  # raises here what is wrong with the data
        self.structure = {name: len(units) for name, units in graph.layers.items()}
        self._groups = {group.name: group.size for group in graph.groups}

    def deepest(self, graph: ChannelGraph, fewest: Callable, budget: Budget) -> tuple[np.ndarray, Cost]:
        """Returns the deepest cut there is, as `Ranking.down_to` does.

        Args:
            graph: The channel graph.
            fewest: Function from the sizes of layers to the fewest units that they may keep, integer arrays.
            budget: The `Budget`.
        """
        scores, sizes = np.zeros(graph.num_units), np.array(list(self.structure.values()), int)
        return self._ranking(graph, scores, fewest(sizes)).down_to(0, budget, budget.original)

    def rehearse(self, graph: ChannelGraph, keep: np.ndarray) -> None:
        """Raises, before training, what a cut would raise about layers or an optimizer that cannot be made anew.

        Args:
            graph: The channel graph.
            keep: The cut, a boolean array of shape `(graph.num_units,)`.
        """
        with scope_of(self.subject.model):
            rebuilt, _ = rebuild(graph, np.ones(graph.num_units, bool))
            check_rebuilt(self.subject.twin, rebuilt, self._asked.data, self._asked.steps, self._owner)
            self.subject.check_adoptable(*rebuild(graph, keep))

    def rank(self) -> Ranking:
        """Returns the units of the model as it is now, scored, and protected as the guards say for one round."""
        asked, guards = self._asked, self._asked.guards
        graph = self.subject.analyse()
        data = drawn(asked.data, asked.steps, self._owner)
        options = {"steps": asked.steps, "owner": self._owner, "verbose": asked.verbose}
        scores = unit_scores(graph, asked.criterion, asked.debias, data, **options)
        self.scores = {name: scores[units] for name, units in graph.layers.items()}
        self.subject.model.reset_metrics()  # the loss was computed for scores
        sizes = {name: len(units) for name, units in graph.layers.items()}
        original = [self.structure.get(name, size) for name, size in sizes.items()]
        return self._ranking(graph, scores, guards.fewest(list(sizes.values()), original), data)

    def replace(self, ranking: Ranking, keep: np.ndarray, within: Callable = contextlib.nullcontext) -> None:
        """Makes the model the smaller one, calibrated if there is data; if that fails, it is as it was.

        Args:
            ranking: What `rank` returned.
            keep: Boolean array of shape `(ranking.graph.num_units,)`.
            within: Function from the `Subject` to a context in which it is exchanged for what was made. Optional.
        """
        inputs = self._calibration_inputs(ranking.data)
        opened = self.subject.opened
        with scope_of(self.subject.model):
            made = calibrated(rebuild, ranking.graph, keep, inputs, self._calibration, self._asked.verbose)
            with within(self.subject):
                self.subject.adopt(*made)
        say_opened(self._asked.verbose, self.subject.target.name, opened)
        self._after_exchange()

    def snapshot(self) -> Snapshot:
        """Returns what brings the model back to what it is now."""
        return self.subject.snapshot()

    def go_back(self, snapshot: Snapshot) -> None:
        """Makes the model what it was."""
        with scope_of(self.subject.model):
            snapshot.restore()
        self._after_exchange()

    @contextlib.contextmanager
    def freeing(self):
        """Frees, at its end, the memory of networks that were exchanged meanwhile and that nobody holds any more."""
        garbage, self._is_exchanged = Garbage(self.subject.model), False
        yield
        if self._is_exchanged:
            garbage.free()

    def _after_exchange(self):
        self._is_exchanged = True
        forget_best(beside(self._asked))

    def _ranking(self, graph, scores, fewest, data=None):
        """Returns a ranking; numbers are rounded by the sizes that groups had before the first cut."""
        sizes = [self._groups.get(group.name, group.size) for group in graph.groups]
        align = self._asked.guards.aligner(sizes, parts_of_groups(graph))
        return Ranking(graph, scores, protect(scores, graph, fewest), align, data)

    def _calibration_inputs(self, data):
        """Returns the function that starts a pass over what cuts are made up for with, or `None` if they are not."""
        how = self._calibration
        if data is None or not (how.compensate or how.recalibrate):
            return None
        return calibration_inputs(data, self.subject.twin, self._asked.steps, self._owner, how.samples)

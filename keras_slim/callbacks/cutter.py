"""Cutting the model of a callback in the middle of `fit`: what all callbacks that remove units have in common.

When to cut, how much and what then, the callback says. Whatever is done to the model that is cut is done here.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.callbacks.garbage import Garbage
from keras_slim.callbacks.in_place import check_in_place
from keras_slim.distribution import scope_of
from keras_slim.graph.analysis import analyse
from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.budget import Budget
from keras_slim.pruning.calibration import Calibration, calibrated, calibration_inputs, check_calibration
from keras_slim.pruning.costs import Cost
from keras_slim.pruning.last_look import check_rebuilt
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.selection import protect
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import rebuild
from keras_slim.scoring import check_data, unit_scores
from keras_slim.scoring.data import drawn, first_inputs


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


class Cutter:
    """Cuts the model of a callback: looks at it before training, then ranks its units and replaces it in each round.

    It is made when `fit` begins, with the model as it was before the first cut.

    Args:
        callback: The callback. Its attributes `criterion`, `debias`, `data`, `steps`, `guards`, `ignore` and `verbose`
            say how.
        calibration: How cuts are made up for with the data. Defaults to not at all.

    Attributes:
        structure: Number of units of each layer before the first cut; known from `check` on.
    """

    def __init__(self, callback: Any, calibration: Calibration | None = None):
        self._asked = callback
        self._model: keras.Model = callback.model
        self._owner = type(callback).__name__
        self._calibration = calibration or check_calibration(False, self._owner)
        self._is_exchanged = False

    def look(self) -> ChannelGraph:
        """Returns the channel graph of the model, after functions that nobody knows were tried on the data."""
        asked, model, owner = self._asked, self._model, self._owner
        return analyse(model, asked.ignore, owner, batch=lambda: first_inputs(asked.data, model, owner=owner))

    def check(self, graph: ChannelGraph) -> None:
        """Says what is wrong with the model and the data before training, and remembers how large the layers are."""
        asked, data, owner = self._asked, self._asked.data, self._owner
        check_in_place(graph, owner)
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

    def rehearse(self, graph: ChannelGraph, keep: np.ndarray | None = None) -> None:
        """Raises, before training, what a cut would raise about layers or an optimizer that cannot be made anew.

        Args:
            graph: The channel graph.
            keep: The cut, a boolean array of shape `(graph.num_units,)`. Defaults to nothing cut.
        """
        with scope_of(self._model):
            rebuilt, transfers = rebuild(graph, np.ones(graph.num_units, bool))
            check_rebuilt(self._model, rebuilt, self._asked.data, self._asked.steps, self._owner)
            if keep is not None:
                _, transfers = rebuild(graph, keep)
            OptimizerCut(self._model.optimizer, transfers)

    def rank(self) -> Ranking:
        """Returns the units of the model as it is now, scored, and protected as the guards say for one round."""
        asked, guards = self._asked, self._asked.guards
        graph = analyse(self._model, asked.ignore, self._owner)
        data = drawn(asked.data, asked.steps, self._owner)
        options = {"steps": asked.steps, "owner": self._owner, "verbose": asked.verbose}
        scores = unit_scores(graph, asked.criterion, asked.debias, data, **options)
        self._model.reset_metrics()  # the loss was computed for scores
        sizes = {name: len(units) for name, units in graph.layers.items()}
        original = [self.structure.get(name, size) for name, size in sizes.items()]
        return self._ranking(graph, scores, guards.fewest(list(sizes.values()), original), data)

    def replace(self, ranking: Ranking, keep: np.ndarray, within: Callable = contextlib.nullcontext) -> None:
        """Makes the model the smaller one, calibrated if there is data; if that fails, it is as it was.

        Args:
            ranking: What `rank` returned.
            keep: Boolean array of shape `(ranking.graph.num_units,)`.
            within: Function from the model to a context in which it is exchanged for what has been made. Optional.
        """
        inputs = self._calibration_inputs(ranking.data)
        with scope_of(self._model):
            made = calibrated(rebuild, ranking.graph, keep, inputs, self._calibration, self._asked.verbose)
            with within(self._model):
                adopt(self._model, *made)
        self._after_exchange()

    def snapshot(self) -> Snapshot:
        """Returns what brings the model back to what it is now."""
        return Snapshot(self._model)

    def go_back(self, snapshot: Snapshot) -> None:
        """Makes the model what it was."""
        with scope_of(self._model):
            snapshot.restore()
        self._after_exchange()

    @contextlib.contextmanager
    def freeing(self):
        """Frees, at its end, the memory of networks that were exchanged meanwhile and that nobody holds any more."""
        garbage, self._is_exchanged = Garbage(self._model), False
        yield
        if self._is_exchanged:
            garbage.free()

    def _after_exchange(self):
        self._is_exchanged = True
        forget_best(beside(self._asked))

    def _ranking(self, graph, scores, fewest, data=None):
        """Returns a ranking; numbers are rounded by the sizes that groups had before the first cut."""
        align = self._asked.guards.aligner([self._groups.get(group.name, group.size) for group in graph.groups])
        return Ranking(graph, scores, protect(scores, graph, fewest), align, data)

    def _calibration_inputs(self, data):
        """Returns the function that starts a pass over what cuts are made up for with, or `None` if they are not."""
        how = self._calibration
        if data is None or not (how.compensate or how.recalibrate):
            return None
        return calibration_inputs(data, self._model, self._asked.steps, self._owner, how.samples)


def dense_twin(model: keras.Model, values: dict[int, np.ndarray] | None = None) -> keras.Model:
    """Returns a copy of a model, with its own values, or others by the id of the variable."""
    graph = analyse(model)
    return rebuild(graph, np.ones(graph.num_units, bool), values=values)[0]

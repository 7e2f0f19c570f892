"""What a model may cost, and the cut that brings it down to that."""

import dataclasses

import numpy as np

from keras_slim.pruning.costs import Cost, CostModel, target_cost
from keras_slim.pruning.measured_target import reach
from keras_slim.pruning.measures import Measure
from keras_slim.pruning.selection import select, select_weighed
from keras_slim.pruning.surgery import rebuild


class Budget:
    """Cuts a model down to a share of what it costs, at once or in rounds.

    Args:
        measure: The `Measure` that says what is counted.
        graph: Channel graph of the model before the first cut.

    Attributes:
        original: `Cost` of that model.

    Raises:
        ValueError: If the cost is not known, since the model's inputs have dimensions of unknown size.
        RuntimeError: If the model has to be exported, and Keras does not run on TensorFlow.
        ExportError: If it has to be, and does not convert.
    """

    def __init__(self, measure: Measure, graph):
        self._measure = measure
        costs = CostModel(graph)
        costs.measure(measure.counted)
        measured, self._meter = measure.meter(graph.model) or (None, None)
        self.original = self._completed(costs.cost(np.ones(graph.num_units, bool)), measured)

    def target(self, ratio) -> float:
        """Returns what is left of the original cost when a share of it is gone."""
        return target_cost(getattr(self.original, self._measure.alias), ratio)

    def cut(self, graph, scores, protected, align, target, now: Cost) -> tuple[np.ndarray, Cost]:
        """Chooses the units to keep, so that a cost is reached.

        Args:
            graph: Channel graph of the model now.
            scores: Array of shape `(graph.num_units,)`, comparable over all groups.
            protected: Boolean array of the same shape: units that stay, as `protect` returns them.
            align: Function that rounds numbers of kept units, as `select` takes it.
            target: The cost to come down to. 0 is out of reach, and gives the deepest cut there is.
            now: `Cost` of the model now, `original` before the first cut.

        Returns:
            Boolean array of shape `(graph.num_units,)`, and the `Cost` that it leads to.
        """
        costs = CostModel(graph)
        counted = self._measure.counted
        count = costs.measure(counted)

        def choose(amount):
            chosen = scores, graph.group_of(), protected, align, count, amount
            if not self._measure.weigh:
                return select(*chosen)
            return select_weighed(*chosen, lambda keep: costs.savings(counted, keep), self._measure.weigh)

        def measure(keep):
            return self._meter(rebuild(graph, keep)[0])

        if self._meter is None:
            keep, measured = choose(target), None
        else:
            whole, measured = np.ones(graph.num_units, bool), getattr(now, self._measure.alias)
            keep, measured = reach(target, whole, measured, choose, count, measure, self._measure.tolerance)
        return keep, self._completed(costs.cost(keep), measured)

    def _completed(self, cost, measured):
        return cost if measured is None else dataclasses.replace(cost, **{self._measure.alias: measured})

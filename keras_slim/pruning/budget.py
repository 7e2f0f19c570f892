"""What a model may cost, and the cut that brings it down to that."""

import numpy as np

from keras_slim.distribution import of_first_process
from keras_slim.errors import invalid_argument
from keras_slim.pruning.costs import Cost, CostModel, target_cost
from keras_slim.pruning.measured_target import reach
from keras_slim.pruning.measures import COUNTS, Measure
from keras_slim.pruning.selection import select, select_weighed
from keras_slim.pruning.surgery import rebuild
from keras_slim.validation import check_choice


class Budget:
    """Cuts a model down to a share of what it costs, at once or in rounds.

    Args:
        measure: The `Measure` that says what is counted.
        graph: Channel graph of the model before the first cut.

    Attributes:
        of: Name of what is counted or measured, as `Cost.amount` takes it.
        original: `Cost` of that model.

    Raises:
        ValueError: If the cost is not known, since the model's inputs have dimensions of unknown size; or if a measure
            of the user's own does not say what it is called, or what count foretells it.
        TypeError: If the `meter` of a measure of the user's own returns something else than it should.
        RuntimeError: If the model has to be exported, and Keras does not run on TensorFlow.
        ExportError: If it has to be, and does not convert.
    """

    def __init__(self, measure: Measure, graph):
        self._measure = measure
        costs = CostModel(graph)
        costs.measure(check_choice(measure.counted, "counted", type(measure).__name__, COUNTS))
        measured, self._meter = begun(measure, graph.model)
        self.of = measure.counted if self._meter is None else checked_alias(measure)
        self.original = self._completed(costs.cost(np.ones(graph.num_units, bool)), measured)

    def target(self, ratio) -> float:
        """Returns what is left of the original cost when a share of it is gone."""
        return target_cost(self.original.amount(self.of), ratio)

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
            return of_first_process(self._meter(rebuild(graph, keep)[0]))

        if self._meter is None:
            keep, measured = choose(target), None
        else:
            whole, measured = np.ones(graph.num_units, bool), now.amount(self.of)
            keep, measured = reach(target, whole, measured, choose, count, measure, self._measure.tolerance)
        return keep, self._completed(costs.cost(keep), measured)

    def _completed(self, cost, measured):
        return cost if measured is None else cost.measured(self.of, measured)


def begun(measure, model):
    """Returns what `measure.meter` does, checked; `None` twice where counting tells."""
    found = measure.meter(model)
    if found is None:
        return None, None
    if not isinstance(found, tuple) or len(found) != 2 or not callable(found[1]):
        expected = "a pair: what the model costs, and the function from a smaller model to what that costs"
        raise TypeError(invalid_argument("meter", type(measure).__name__, expected=expected, received=found))
    return found


def checked_alias(measure):
    """Returns what a measure calls that which it measures, or raises `ValueError`."""
    if not measure.alias:
        expected = "the name of what it measures, like 'energy'"
        hint = "Give the class an attribute `alias`."
        raise ValueError(
            invalid_argument("alias", type(measure).__name__, expected=expected, received=measure.alias, hint=hint)
        )
    return measure.alias

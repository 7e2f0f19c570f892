"""What a model costs, before and after a cut that has not been made."""

import math
from dataclasses import asdict, dataclass

import keras
import numpy as np

from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.graph.nodes import Node
from keras_slim.profiling.sizes import UnknownDimensionError
from keras_slim.profiling.uses import work_by_call
from keras_slim.profiling.work import Work, work_of

UNITS_OF_COST = ("units", "params", "macs")


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Args:
        units: Number of units that can be cut.
        params: Number of parameters.
        macs: Multiply-accumulates for one sample; `None` where the model's inputs have dimensions of unknown size.
    """

    units: int
    params: int
    macs: int | None

    def to_dict(self):
        """Returns the numbers as a dictionary."""
        return asdict(self)

    def describe(self) -> str:
        """Returns what is known in words, e.g. "units 8, params 90, macs 72"."""
        return ", ".join(f"{name} {size:,}" for name, size in self.to_dict().items() if size is not None)


def describe_change(before: Cost, after: Cost) -> str:
    """Returns what a cut changes, e.g. "units 8 -> 4 (-50.0%), params 90 -> 46 (-48.9%), macs 72 -> 36 (-50.0%)"."""
    parts = []
    for name, old in before.to_dict().items():
        new = after.to_dict()[name]
        parts.append(f"{name} unknown" if old is None else f"{name} {old:,} -> {new:,} (-{1 - new / max(old, 1):.1%})")
    return ", ".join(parts)


def target_cost(total, ratio):
    """Returns what is left of a cost, safe from rounding errors: 20 % of 40 units are 8, not 7.999999999999998."""
    return round(total * (1 - ratio), 6)


class CostModel:
    """Predicts the exact cost of a model after a cut, from the sizes that its weights and tensors will have.

    Args:
        graph: Channel graph of the model.
    """

    def __init__(self, graph: ChannelGraph):
        self._graph = graph
        self._units, self._axes = _different_units(graph.slots)
        self._weights = list({id(slot.variable): slot.variable for slot in graph.slots}.values())
        self._works: list[Work] | None = []
        self._calls: list[Node] = []
        try:
            for _, call, works in work_by_call(graph.model):
                self._file(call, works)
        except UnknownDimensionError:
            self._works = None
        self._params = graph.model.count_params() - sum(math.prod(weight.shape) for weight in self._weights)

    def cost(self, keep):
        """Returns the `Cost` when only some units are kept.

        Args:
            keep: Boolean array of shape `(graph.num_units,)`.
        """
        kept = [len(kept_positions(units, keep)) for units in self._units]

        def size(weight, axis):
            place = self._axes.get((id(weight), axis))
            return weight.shape[axis] if place is None else kept[place]

        params = sum(math.prod(size(weight, axis) for axis in range(len(weight.shape))) for weight in self._weights)
        return Cost(int(keep.sum()), self._params + params, self._macs(keep, size))

    def _macs(self, keep, size):
        if self._works is None:
            return None
        works = [*self._works, *(work for call in self._calls for work in self._works_after(call, keep))]
        return sum(work.uses * math.prod(size(*each) for each in work.sizes) for work in works if work.uses)

    def _file(self, call, works):
        """Keeps the work of a call if no cut changes how often weights are used in it; if one does, the call."""
        nothing = np.zeros(self._graph.num_units, bool)
        if [work.uses for work in works] == [work.uses for work in self._works_after(call, nothing)]:
            self._works += works
        else:
            self._calls.append(call)

    def _works_after(self, call, keep):
        """Returns the work of a call on tensors of the shapes they have after a cut."""
        tensors = {id(tensor): tensor for tensor in (*call.inputs, *call.outputs) if id(tensor) in self._graph.tensors}
        return work_of(call.on({key: self._smaller(tensor, keep) for key, tensor in tensors.items()}))

    def _smaller(self, tensor, keep):
        shape = list(tensor.shape)
        for axis, units in self._graph.tensors[id(tensor)].items():
            shape[axis] = len(kept_positions(units, keep))
        return keras.KerasTensor(shape, tensor.dtype)

    def measure(self, of):
        """Returns the function from a selection to one of its costs.

        Args:
            of: `"units"`, `"params"` or `"macs"`.

        Raises:
            ValueError: If that cost is not known, since the model's inputs have dimensions of unknown size.
        """
        if of == "macs" and self._works is None:
            raise ValueError(
                f"The {of} are not known, since the model's inputs have dimensions of unknown size. Expected all but "
                "the batch to be known. Build the model with a fixed input shape, or prune a share of the 'params'."
            )
        return lambda keep: getattr(self.cost(keep), of)


def _different_units(slots):
    """Returns the different arrays of units, and which of them runs along an axis, by `(id of weight, axis)`."""
    places = {}
    axes = {(id(slot.variable), slot.axis): places.setdefault(slot.units.tobytes(), len(places)) for slot in slots}
    return [np.frombuffer(key, slots[0].units.dtype) for key in places], axes

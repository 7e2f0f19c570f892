"""What a model costs, before and after a cut that has not been made."""

import math
import numbers
from dataclasses import dataclass, field, fields, replace

import keras
import numpy as np

from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.graph.nodes import Node
from keras_slim.profiling.sizes import UnknownDimensionError
from keras_slim.profiling.uses import work_by_call
from keras_slim.profiling.work import Work, work_of


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Args:
        units: Number of units that can be cut.
        params: Number of parameters.
        macs: Multiply-accumulates for one sample; `None` where the model's inputs have dimensions of unknown size.
        bytes: Size of the exported file; `None` where it was not asked for.
        latency: Milliseconds of the exported file for one sample, on this machine; `None` where it was not asked for.
        other: What measures of the user's own have found, by their aliases.
    """

    units: int
    params: int
    macs: int | None
    bytes: int | None = None
    latency: float | None = None
    other: dict[str, float] = field(default_factory=dict, hash=False)

    def to_dict(self):
        """Returns the numbers as a dictionary; what was not asked for is not among them."""
        known = {name: getattr(self, name) for name in _names()}
        return {name: value for name, value in known.items() if name == "macs" or value is not None} | self.other

    def amount(self, of: str):
        """Returns one of the numbers, by its name."""
        return self.other[of] if of in self.other else getattr(self, of)

    def measured(self, of: str, amount: float) -> "Cost":
        """Returns the cost with one of the numbers as it has been measured."""
        amount = int(amount) if isinstance(amount, numbers.Integral) else float(amount)
        return replace(self, **({of: amount} if of in _names() else {"other": {**self.other, of: amount}}))

    def describe(self) -> str:
        """Returns what is known in words, e.g. "units 8, params 90, macs 72"."""
        return ", ".join(f"{name} {size:,}" for name, size in self.to_dict().items() if size is not None)


def _names():
    """Returns the names of the numbers that every `Cost` has a place for."""
    return [each.name for each in fields(Cost) if each.name != "other"]


def describe_change(before: Cost, after: Cost) -> str:
    """Returns what a cut changes, e.g. "units 8 -> 4 (-50.0%), params 90 -> 46 (-48.9%), macs 72 -> 36 (-50.0%)"."""
    new = after.to_dict()
    return ", ".join(_change(name, old, new[name]) for name, old in before.to_dict().items() if name in new)


def _change(name, old, new):
    if old is None:
        return f"{name} unknown"
    if name == "latency":
        return f"{name} {old:.3f} -> {new:.3f} ms (-{1 - new / old:.1%})"
    if isinstance(old, float):
        return f"{name} {old:.4g} -> {new:.4g} (-{1 - new / (old or 1):.1%})"
    return f"{name} {old:,} -> {new:,} (-{1 - new / max(old, 1):.1%})"


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
        size = self._sizes(keep)

        def total(of):
            return sum(uses * math.prod(size(*axis) for axis in axes) for uses, axes in self._products(of, keep))

        macs = None if self._works is None else total("macs")
        return Cost(int(keep.sum()), self._params + total("params"), macs)

    def savings(self, of, keep):
        """Returns what the removal of each unit saves, when only some units are kept.

        To first order: a weight that a unit shares with others that go is not counted once for all of them.

        Args:
            of: `"units"`, `"params"` or `"macs"`.
            keep: Boolean array of shape `(graph.num_units,)`.

        Returns:
            Array of the same shape, in that unit of cost.
        """
        if of == "units":
            return np.ones(len(keep))
        size, savings = self._sizes(keep), np.zeros(len(keep) + 1)  # the last is what is never cut
        for uses, axes in self._products(of, keep):
            sizes = [size(*axis) for axis in axes]
            for index, (weight, axis) in enumerate(axes):
                place = self._axes.get((id(weight), axis))
                if place is not None:
                    others = math.prod(sizes[:index] + sizes[index + 1 :])
                    savings += uses * others * np.bincount(self._units[place] % len(savings), minlength=len(savings))
        return savings[:-1]

    def _sizes(self, keep):
        """Returns the function from a weight and an axis of it to the size that the axis will have."""
        kept = [len(kept_positions(units, keep)) for units in self._units]

        def size(weight, axis):
            place = self._axes.get((id(weight), axis))
            return weight.shape[axis] if place is None else kept[place]

        return size

    def _products(self, of, keep):
        """Returns what a cost is the sum of: pairs of a factor and axes of weights, whose sizes multiply it."""
        if of == "params":
            return [(1, [(weight, axis) for axis in range(len(weight.shape))]) for weight in self._weights]
        works = [*self._works, *(work for call in self._calls for work in self._works_after(call, keep))]
        return [(work.uses, work.sizes) for work in works if work.uses]

    def _file(self, call, works):
        """Keeps the work of a call if no cut changes how often weights are used in it; if one does, the call."""
        nothing = np.zeros(self._graph.num_units, bool)
        if [work.uses for work in works] == [work.uses for work in self._works_after(call, nothing)]:
            self._works += works
        else:
            self._calls.append(call)

    def _works_after(self, call, keep):
        """Returns the work of a call on tensors of the shapes they have after a cut."""
        known = call.origin or call
        pairs = zip((*call.inputs, *call.outputs), (*known.inputs, *known.outputs), strict=True)
        return work_of(call.on({id(tensor): self._smaller(tensor, known, keep) for tensor, known in pairs}))

    def _smaller(self, tensor, known, keep):
        """Returns a tensor of the shape it has after a cut, by the units of the one that the graph knows."""
        shape = list(tensor.shape)
        for axis, units in self._graph.tensors.get(id(known), {}).items():
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
            raise unknown_cost(of)
        return lambda keep: getattr(self.cost(keep), of)


def unknown_cost(of):
    """Returns the error that says that a cost depends on dimensions of unknown size."""
    return ValueError(
        f"The {of} are not known, since the model's inputs have dimensions of unknown size. Expected all but "
        "the batch to be known. Build the model with a fixed input shape, or prune a share of the 'params'."
    )


def _different_units(slots):
    """Returns the different arrays of units, and which of them runs along an axis, by `(id of weight, axis)`."""
    places = {}
    axes = {(id(slot.variable), slot.axis): places.setdefault(slot.units.tobytes(), len(places)) for slot in slots}
    return [np.frombuffer(key, slots[0].units.dtype) for key in places], axes

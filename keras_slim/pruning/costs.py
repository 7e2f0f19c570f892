"""What a model costs, before and after a cut that has not been made."""

import math
import numbers
from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from typing import Self

import keras
import numpy as np

from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.graph.channels import WHOLE
from keras_slim.graph.nodes import Node
from keras_slim.profiling.sizes import UnknownDimensionError
from keras_slim.profiling.uses import work_by_call
from keras_slim.profiling.work import work_of


class Amounts:
    """Numbers by name, as fields of a dataclass, with `other`: what measures of the user's own have found."""

    other: dict[str, float]

    def to_dict(self):
        """Returns the numbers as a dictionary; what was not asked for is not among them."""
        known = {name: getattr(self, name) for name in self._names()}
        return {name: value for name, value in known.items() if name == "macs" or value is not None} | self.other

    def amount(self, of: str):
        """Returns one of the numbers, by its name."""
        return self.other[of] if of in self.other else getattr(self, of)

    def measured(self, of: str, amount: float) -> Self:
        """Returns the same with one of the numbers as it has been measured."""
        amount = int(amount) if isinstance(amount, numbers.Integral) else float(amount)
        known: dict = {of: amount} if of in self._names() else {"other": {**self.other, of: amount}}
        return replace(self, **known)  # type: ignore[type-var]

    def describe(self) -> str:
        """Returns what is known in words, e.g. "units 8, params 90, macs 72"."""
        return ", ".join(f"{name} {size:,}" for name, size in self.to_dict().items() if size is not None)

    def _names(self):
        """Returns the names of the numbers that there is a place for."""
        return [each.name for each in fields(self) if each.name != "other"]


@dataclass(frozen=True)
class Cost(Amounts):
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


def describe_change(before: Amounts, after: Amounts) -> str:
    """Returns what a cut changes, e.g. "units 8 -> 4 (-50.0%), params 90 -> 46 (-48.9%), macs 72 -> 36 (-50.0%)"."""
    new = after.to_dict()
    return ", ".join(_change(name, old, new[name]) for name, old in before.to_dict().items() if name in new)


def _change(name, old, new):
    if old is None:
        return f"{name} unknown"
    if name == "latency":
        return f"{name} {old:.3f} -> {new:.3f} ms ({_share(old, new)})"
    if isinstance(old, float):
        return f"{name} {old:.4g} -> {new:.4g} ({_share(old, new)})"
    return f"{name} {old:,} -> {new:,} ({_share(old, new)})"


def _share(old, new):
    return f"{(new - old) / (old or 1):+.1%}"


def target_cost(total, ratio):
    """Returns what is left of a cost, safe from rounding errors: 20 % of 40 units are 8, not 7.999999999999998."""
    return round(total * (1 - ratio), 6)


class CostModel:
    """Predicts the exact cost of a model after a cut, from the sizes that its weights and tensors will have.

    A cost is a sum of products of sizes. Products of the same axes are one term: a factor, and the places of the axes
    among those that a cut makes smaller.

    Args:
        graph: Channel graph of the model.
    """

    def __init__(self, graph: ChannelGraph):
        self._graph = graph
        self._units, self._places = _different_units(graph.slots)
        self._owner = np.repeat(np.arange(len(self._units)), [len(units) for units in self._units])
        self._flat = np.concatenate([np.zeros(0, int), *self._units])  # the unit at each position, of all places
        self._shapes: dict[int, tuple[int, ...]] = {}  # of weights, by id: to ask a variable takes long
        self._calls: list[Node] = []
        weights = {id(slot.variable): slot.variable for slot in graph.slots}.values()
        entries = [(1, [(weight, axis) for axis in range(len(self._shape(weight)))]) for weight in weights]
        rest = graph.model.count_params() - sum(math.prod(self._shape(weight)) for weight in weights)
        self._terms = {"params": self._as_terms([*entries, (rest, [])])}
        try:
            works = [work for _, call, works in work_by_call(graph.model) for work in self._fixed(call, works)]
            self._terms["macs"] = self._as_terms(_products(works))
        except UnknownDimensionError:
            pass

    def cost(self, keep):
        """Returns the `Cost` when only some units are kept.

        Args:
            keep: Boolean array of shape `(graph.num_units,)`.
        """
        kept = self._kept(keep)

        def total(of):
            terms = self._terms_of(of, keep).items()
            return sum(factor * math.prod(kept[place] for place in places) for places, factor in terms)

        return Cost(int(keep.sum()), total("params"), total("macs") if "macs" in self._terms else None)

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
        kept, of_place = self._kept(keep), np.zeros(len(self._units))
        for places, factor in self._terms_of(of, keep).items():
            sizes = [kept[place] for place in places]
            for index, place in enumerate(places):
                of_place[place] += factor * math.prod(sizes[:index] + sizes[index + 1 :])
        is_unit = self._flat != WHOLE
        return np.bincount(self._flat[is_unit], of_place[self._owner[is_unit]], minlength=len(keep))

    def _kept(self, keep):
        """Returns the size that each place will have, a list of numbers."""
        is_left = np.append(keep, True)[self._flat]  # WHOLE is -1, the last entry
        return np.bincount(self._owner[is_left], minlength=len(self._units)).tolist()

    def _terms_of(self, of, keep):
        """Returns the terms of a cost, with those that depend on what is kept, by places."""
        if of == "params" or not self._calls:
            return self._terms[of]
        works = [work for call in self._calls for work in self._works_after(call, keep)]
        return self._as_terms(_products(works), self._terms[of])

    def _as_terms(self, products, terms=()):
        """Returns terms, a dictionary from places to a factor, with products of a number and axes of weights added."""
        terms = defaultdict(int, terms)
        for factor, axes in products:
            places = []
            for weight, axis in axes:
                place = self._places.get((id(weight), axis))
                if place is None:
                    factor *= self._shape(weight)[axis]
                else:
                    places.append(place)
            terms[tuple(sorted(places))] += factor
        return terms

    def _shape(self, weight):
        if id(weight) not in self._shapes:
            self._shapes[id(weight)] = tuple(weight.shape)
        return self._shapes[id(weight)]

    def _fixed(self, call, works):
        """Returns the work of a call; keeps the call instead, if a cut changes how often weights are used in it."""
        nothing = np.zeros(self._graph.num_units, bool)
        if not works or [work.uses for work in works] == [work.uses for work in self._works_after(call, nothing)]:
            return works
        self._calls.append(call)
        return []

    def _works_after(self, call, keep):
        """Returns the work of a call on tensors of the shapes they have after a cut."""
        known = call.origin or call
        pairs = zip((*call.inputs, *call.outputs), (*known.inputs, *known.outputs), strict=True)
        return work_of(call.on({id(tensor): self._smaller(tensor, known, keep) for tensor, known in pairs}))

    def _smaller(self, tensor, known, keep):
        """Returns a tensor of the shape it has after a cut, by the units of the one that the graph knows."""
        axes = self._graph.tensors.get(id(known))
        if not axes:
            return tensor
        shape = list(tensor.shape)
        for axis, units in axes.items():
            shape[axis] = len(kept_positions(units, keep))
        return keras.KerasTensor(shape, tensor.dtype)

    def measure(self, of):
        """Returns the function from a selection to one of its costs.

        Args:
            of: `"units"`, `"params"` or `"macs"`.

        Raises:
            ValueError: If that cost is not known, since the model's inputs have dimensions of unknown size.
        """
        if of == "macs" and of not in self._terms:
            raise unknown_cost(of)
        return lambda keep: getattr(self.cost(keep), of)


def _products(works):
    """Returns what the work is the sum of: pairs of a number and axes of weights, whose sizes multiply it."""
    return [(work.uses, work.sizes) for work in works if work.uses]


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

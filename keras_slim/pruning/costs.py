"""What a model costs, before and after a cut that has not been made."""

from dataclasses import asdict, dataclass

import numpy as np

from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.profiling import profile, weight_uses

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
    """Predicts the exact cost of a model after a cut, from the shapes of its weights.

    Args:
        graph: Channel graph of the model.
    """

    def __init__(self, graph: ChannelGraph):
        self._cuts = {}
        for slot in graph.slots:
            self._cuts.setdefault(id(slot.variable), (slot.variable.shape, []))[1].append(slot)
        self._uses = {}
        has_unknown_size = any(None in tensor.shape[1:] for tensor in graph.model.inputs)
        macs = None if has_unknown_size else profile(graph.model).macs
        for variable, uses in [] if has_unknown_size else weight_uses(graph.model):
            self._uses[id(variable)] = self._uses.get(id(variable), 0) + uses
        self._whole = Cost(graph.num_units, graph.model.count_params(), macs)

    def cost(self, keep):
        """Returns the `Cost` when only some units are kept.

        Args:
            keep: Boolean array of shape `(graph.num_units,)`.
        """
        params, macs = self._whole.params, self._whole.macs
        for key, (shape, slots) in self._cuts.items():
            smaller = list(shape)
            for slot in slots:
                smaller[slot.axis] = len(kept_positions(slot.units, keep))
            removed = int(np.prod(shape)) - int(np.prod(smaller))
            params -= removed
            if macs is not None:
                macs -= removed * self._uses.get(key, 0)
        return Cost(int(keep.sum()), params, macs)

    def measure(self, of):
        """Returns the function from a selection to one of its costs.

        Args:
            of: `"units"`, `"params"` or `"macs"`.

        Raises:
            ValueError: If that cost is not known, since the model's inputs have dimensions of unknown size.
        """
        if getattr(self._whole, of) is None:
            raise ValueError(
                f"The {of} are not known, since the model's inputs have dimensions of unknown size. Expected all but "
                "the batch to be known. Build the model with a fixed input shape, or prune a share of the 'params'."
            )
        return lambda keep: getattr(self.cost(keep), of)

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

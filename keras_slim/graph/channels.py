"""Channels: which unit runs along each position of each axis of a tensor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

WHOLE = -1
"""Marks a position that belongs to no unit and is therefore never cut."""


@dataclass(frozen=True, eq=False)
class Channels:
    """The units along the axes of one tensor.

    An index map (an offset, a repeat, a permutation) needs no name of its own here: it is what NumPy does to the
    array of unit numbers. Concatenating two tensors concatenates their arrays; flattening tiles one.

    Args:
        shape: Shape of the tensor, the batch included, `None` where unknown.
        axes: From a non-negative axis to an integer array with the unit at each position. An axis that is missing
            carries no unit.
    """

    shape: tuple[int | None, ...]
    axes: Mapping[int, np.ndarray] = field(default_factory=dict)

    def along(self, axis):
        """Returns the unit at each position of `axis`, `WHOLE` where there is none."""
        axis %= len(self.shape)
        if axis in self.axes:
            return self.axes[axis]
        return np.full(self.shape[axis] or 0, WHOLE)

    def copy(self):
        """Returns the same units in other arrays."""
        return Channels(self.shape, {axis: units.copy() for axis, units in self.axes.items()})

    def all(self):
        """Returns the units of all axes in one array."""
        return np.concatenate([np.zeros(0, int), *self.axes.values()])

    def flat(self, first=1):
        """Returns the units after all axes from `first` on are flattened into one, in row-major order.

        `None` when that cannot be said with one unit a position: a size is unknown, or two axes carry units.
        """
        sizes = self.shape[first:]
        tracked = [axis for axis in self.axes if axis >= first]
        if None in sizes or len(tracked) > 1:
            return None
        if not tracked:
            return np.full(math.prod(sizes), WHOLE)
        (axis,) = tracked
        units = self.axes[axis].reshape([-1 if position == axis - first else 1 for position in range(len(sizes))])
        return np.broadcast_to(units, sizes).ravel()

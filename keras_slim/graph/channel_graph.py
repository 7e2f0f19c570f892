"""What is coupled: the groups of units of a model, and where each unit lies in its weights."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE


@dataclass(frozen=True, eq=False)
class Slot:
    """One axis of one weight, and the unit at each position along it.

    Args:
        layer: The layer that owns the weight.
        variable: The weight.
        axis: The axis, non-negative.
        role: `"produces"`, `"consumes"`, `"follows"` or `"measures"`, as in `LayerCall.weight`.
        units: Integer array: the unit at each position, `WHOLE` where it is never cut.
    """

    layer: keras.layers.Layer
    variable: keras.Variable
    axis: int
    role: str
    units: np.ndarray


@dataclass(frozen=True, eq=False)
class Resize:
    """An entry of a layer's config that counts units, or that is an array along them.

    Args:
        layer: The layer.
        entry: Keys that lead to it in the layer's config, the last one an index where it lies in a sequence.
        units: The units it counts, as in `Slot`; a tuple of such arrays if it is a list with the number in each.
        axis: The axis of an array that runs along the units; `None` for a number.
    """

    layer: keras.layers.Layer
    entry: tuple
    units: np.ndarray | tuple[np.ndarray, ...]
    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Rescale:
    """A weight that makes up for a number that its layer derives from how many units there are.

    Args:
        variable: The weight, multiplied by `scale(all) / scale(kept)`.
        units: The units that are counted, as in `Slot`.
        scale: Function from how many there are to what the layer multiplies by.
    """

    variable: keras.Variable
    units: np.ndarray
    scale: Callable[[int], float]


@dataclass(frozen=True, eq=False)
class Reading:
    """A sum over units: where they come from, and the weight they are multiplied by or compared with.

    Args:
        variable: The weight.
        axis: Its axis that is summed over.
        part: Part of its last axis that reads these units; the others read other groups.
        bias: What is added to the sum, or `None`.
        output: The tensor that the layer puts out, if it is the sums; else `None`.
        output_axis: Its axis with one sum at each position.
        tensor: The tensor that holds the units.
        tensor_axis: Their axis in it.
        positions: Their part of that axis.
        through: Function from the tensor's values to what is summed, along the same axis; `None` for the values.
        units: The unit at each of these positions, as in `Slot`.
        is_remembered: Whether `through` computes what the layer remembers, with weights that a cut changes.
        is_distance: Whether what is summed is how far units are from the weight. Then it is enough to know the sums:
            `tensor`, `tensor_axis` and `positions` are those of the output.
    """

    variable: keras.Variable
    axis: int
    part: slice
    bias: keras.Variable | None
    output: keras.KerasTensor | None
    output_axis: int | None
    tensor: keras.KerasTensor
    tensor_axis: int
    positions: slice
    through: Callable | None
    units: np.ndarray
    is_remembered: bool = False
    is_distance: bool = False


@dataclass(frozen=True, eq=False)
class Site:
    """Where the final activation of units can be read.

    Args:
        tensor: The tensor that holds them after normalisation, merges and activation.
        axis: Their axis, non-negative.
        units: The unit at each position of that axis, as in `Slot`.
    """

    tensor: keras.KerasTensor
    axis: int
    units: np.ndarray


@dataclass(frozen=True)
class Group:
    """Units that can be removed one by one, and the layers that compute them.

    Args:
        name: Name of the first layer that computes them.
        layers: Names of all layers that compute them.
        first: Number of the first unit; they are numbered without gaps.
        size: Number of units.
        tied_by: Names of the layers and operations where those of different layers meet.
    """

    name: str
    layers: tuple[str, ...]
    first: int
    size: int
    tied_by: tuple[str, ...] = ()

    @property
    def units(self):
        """The units' numbers, a `range`."""
        return range(self.first, self.first + self.size)


@dataclass(frozen=True)
class Whole:
    """Layers whose units are left as they are, and why.

    Args:
        layers: Their names.
        reasons: The reasons, each a phrase.
    """

    layers: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self):
        return f"{', '.join(self.layers)}: {'; '.join(self.reasons)}"


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """The couplings of a model's channels.

    Args:
        model: The model.
        groups: Groups of units that can be cut, in the order of the model.
        whole: What cannot be cut, and why.
        slots: Where units lie in the weights.
        resizes: Config entries that count units, or run along them.
        constants: Units along the axes of constant arguments, by the id of the call's first output, the argument and
            the axis.
        positions: Units along the axis that a constant argument points into, by the id of the call's first output and
            the argument.
        statistics: Units over which a layer computes statistics, by the id of the layer, which of its arguments has
            them, once these are laid out flat, or the name of its weight that has, and the axis.
        rescales: Weights that make up for a number that their layer derives from how many units there are.
        sites: Where activations can be read, each tensor once.
        readings: Where units are summed over, from which others can stand in for them.
        layers: Units that each layer computes, by its path.
        tensors: Units along the axes of the tensors that have any, by the id of the tensor.
    """

    model: keras.Model
    groups: tuple[Group, ...]
    whole: tuple[Whole, ...]
    slots: tuple[Slot, ...] = field(repr=False)
    resizes: tuple[Resize, ...] = field(repr=False)
    constants: dict[tuple, np.ndarray] = field(repr=False)
    positions: dict[tuple, np.ndarray] = field(repr=False)
    statistics: dict[tuple[int, int | str, int], np.ndarray] = field(repr=False)
    rescales: tuple[Rescale, ...] = field(repr=False)
    sites: tuple[Site, ...] = field(repr=False)
    readings: tuple[Reading, ...] = field(repr=False)
    layers: dict[str, np.ndarray] = field(repr=False)
    tensors: dict[int, dict[int, np.ndarray]] = field(repr=False)

    @property
    def num_units(self):
        """Number of units that can be cut."""
        return sum(group.size for group in self.groups)

    @property
    def axes(self):
        """The different sets of units along those axes that have no position that is never cut."""
        every = {units.tobytes(): units for axes in self.tensors.values() for units in axes.values()}
        sets = (np.unique(units) for units in every.values() if units.min() != WHOLE)
        return tuple({units.tobytes(): units for units in sets}.values())

    def group_of(self):
        """Returns the position in `groups` of each unit, an integer array of shape `(num_units,)`."""
        return np.repeat(np.arange(len(self.groups)), [group.size for group in self.groups])


def kept_positions(units, keep):
    """Returns the positions along an axis that survive.

    Args:
        units: Integer array: the unit at each position, as in `Slot`.
        keep: Boolean array: whether each unit is kept.

    Returns:
        Sorted integer array.
    """
    return np.flatnonzero(np.append(keep, True)[units])  # WHOLE is -1, the last entry

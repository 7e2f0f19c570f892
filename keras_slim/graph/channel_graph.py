"""What is coupled: the groups of units of a model, and where each unit lies in its weights."""

from dataclasses import dataclass, field

import keras
import numpy as np


@dataclass(frozen=True, eq=False)
class Slot:
    """One axis of one weight, and the unit at each position along it.

    Args:
        layer: The layer that owns the weight.
        variable: The weight.
        axis: The axis, non-negative.
        role: `"produces"`, `"consumes"` or `"follows"`, as in `LayerCall.weight`.
        units: Integer array: the unit at each position, `WHOLE` where it is never cut.
    """

    layer: keras.layers.Layer
    variable: keras.Variable
    axis: int
    role: str
    units: np.ndarray


@dataclass(frozen=True, eq=False)
class Resize:
    """An entry of a layer's config that counts units.

    Args:
        layer: The layer.
        name: Key of its config.
        index: Position in the entry if that is a sequence, else `None`.
        units: The units it counts, as in `Slot`.
    """

    layer: keras.layers.Layer
    name: str
    index: int | None
    units: np.ndarray


@dataclass(frozen=True, eq=False)
class Producer:
    """A layer that computes units, and where their final activation can be read.

    Args:
        layer: The layer.
        units: The unit of each of its output channels, as in `Slot`.
        site: The tensor that holds the units after normalisation, merges and activation.
        site_units: The unit at each position of the site's channel axis.
        axis: That axis, non-negative.
    """

    layer: keras.layers.Layer
    units: np.ndarray
    site: keras.KerasTensor
    site_units: np.ndarray
    axis: int


@dataclass(frozen=True)
class Group:
    """Units that can be removed one by one, and the layers that compute them.

    Args:
        name: Name of the first layer that computes them.
        layers: Names of all layers that compute them.
        first: Number of the first unit; they are numbered without gaps.
        size: Number of units.
    """

    name: str
    layers: tuple[str, ...]
    first: int
    size: int

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
        resizes: Config entries that count units.
        producers: Layers that compute units which can be cut.
    """

    model: keras.Model
    groups: tuple[Group, ...]
    whole: tuple[Whole, ...]
    slots: tuple[Slot, ...] = field(repr=False)
    resizes: tuple[Resize, ...] = field(repr=False)
    producers: tuple[Producer, ...] = field(repr=False)

    @property
    def num_units(self):
        """Number of units that can be cut."""
        return sum(group.size for group in self.groups)

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

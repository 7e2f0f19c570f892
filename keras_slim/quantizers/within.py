"""Quantizers that leave channels out, for models in which units are masked rather than removed.

A zero among weights is not nothing where they are rounded to their signs, and removed ones count in a range or a mean.
"""

import copy

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, get
from keras_slim.quantizers.place import Place


@keras.saving.register_keras_serializable("keras_slim")
class Within(Quantizer):
    """Rounds the kept channels as if there were no others, and puts zeros elsewhere.

    Args:
        quantizer: The quantizer, as layers take it.
        kept: For each name of a place, e.g. `"kernel"`, a dictionary from an axis to the positions that are kept.

    Example:

    >>> from keras_slim.layers import Quantize
    >>> layer = Quantize(Within("sign", {"inputs": {1: [0, 2]}}))
    >>> layer(keras.ops.array([[-3.0, -2.0, 5.0]])).numpy().tolist()
    [[-1.0, 0.0, 1.0]]
    """

    def __init__(self, quantizer, kept):
        self.quantizer = get(quantizer, "quantizer", "Within")
        self.kept = {
            name: {int(axis): [int(each) for each in positions] for axis, positions in axes.items()}
            for name, axes in kept.items()
        }

    @property
    def draws(self):
        """Whether it draws random numbers."""
        return self.quantizer.draws

    @property
    def seed(self):
        """What it draws them with."""
        return self.quantizer.seed

    def num_values(self, place):
        return self.quantizer.num_values(place)

    def variables(self, place):
        return self.quantizer.variables(place)

    def constraint(self):
        return self.quantizer.constraint()

    def quantize(self, x, place, training=False):
        kept = self.kept.get(place.name, {})
        small = x
        for axis, positions in kept.items():
            small = ops.take(small, positions, axis=axis)
        small = self.quantizer.quantize(small, _Part(place, kept), training)
        for axis, positions in kept.items():
            others = ops.zeros_like(ops.take(small, [0], axis=axis))
            small = _spread(small, others, positions, [0] * x.shape[axis], axis)
        return small

    def get_config(self):
        kept = {name: {str(axis): each for axis, each in axes.items()} for name, axes in self.kept.items()}
        return {"quantizer": keras.saving.serialize_keras_object(self.quantizer), "kept": kept}


def keeping(quantizer: Quantizer, kept: dict[str, dict[int, list[int]]]) -> Within:
    """Returns a quantizer that leaves channels out, also those that it leaves out already."""
    if not isinstance(quantizer, Within):
        return Within(quantizer, kept)
    both = {name: dict(axes) for name, axes in quantizer.kept.items()}
    for name, axes in kept.items():
        for axis, positions in axes.items():
            before = both.setdefault(name, {}).get(axis, positions)
            both[name][axis] = [each for each in positions if each in before]
    return Within(quantizer.quantizer, both)


class _Part(Place):
    """The kept part of a place, on the variables of the whole."""

    def __init__(self, place, kept):
        vars(self).update(vars(copy.copy(place)))
        self._kept = kept

    def read(self, name):
        value = super().read(name)
        for axis, positions in self._along(value):
            value = ops.take(value, positions, axis=axis)
        return value

    def write(self, name, value):
        whole = super().read(name)
        super().write(name, _put_back(value, whole, self._along(whole)))

    def _along(self, value):
        return [(axis, positions) for axis, positions in self._kept.items() if value.shape[axis] > 1]


def _put_back(value, whole, along):
    """Returns a tensor with another value at the positions of some axes."""
    if not along:
        return value
    (axis, positions), *others = along
    value = _put_back(value, ops.take(whole, positions, axis=axis), others)
    return _spread(value, whole, positions, range(whole.shape[axis]), axis)


def _spread(small, others, positions, elsewhere, axis):
    """Returns a tensor with its slices at some positions along an axis, and those of another elsewhere.

    Args:
        small: The tensor.
        others: The other.
        positions: Where the slices go.
        elsewhere: For each position, which slice of the other stands there, if none of the first does.
        axis: The axis.
    """
    place = {position: index for index, position in enumerate(positions)}
    order = [place.get(position, len(positions) + other) for position, other in enumerate(elsewhere)]
    return ops.take(ops.concatenate([small, others], axis=axis), order, axis=axis)

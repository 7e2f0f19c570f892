"""Places with channels left out, for models in which units are masked rather than removed.

A zero among weights is not nothing where they are rounded to their signs, and removed ones count in a range or a mean.
"""

from keras import ops

from keras_slim.quantizers.place import Place


class KeptPlace(Place):
    """A place that is rounded as if its kept part were all there is, with zeros elsewhere.

    Args:
        *args: As for `Place`.
        kept: Dictionary from an axis to the positions that are kept.
    """

    def __init__(self, *args, kept: dict[int, list[int]]):
        super().__init__(*args)
        self.kept = {axis: list(positions) for axis, positions in kept.items()}

    def __call__(self, x, training=False):
        small = x
        for axis, positions in self.kept.items():
            small = ops.take(small, positions, axis=axis)
        small = super().__call__(small, training)
        for axis, positions in self.kept.items():
            others = ops.zeros_like(ops.take(small, [0], axis=axis))
            small = _spread(small, others, positions, [0] * x.shape[axis], axis)
        return small

    def read(self, name):
        value = super().read(name)
        for axis, positions in self._along(value):
            value = ops.take(value, positions, axis=axis)
        return value

    def write(self, name, value):
        whole = super().read(name)
        super().write(name, _put_back(value, whole, self._along(whole)))

    def _along(self, value):
        return [(axis, positions) for axis, positions in self.kept.items() if value.shape[axis] > 1]


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

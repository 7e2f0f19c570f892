"""Sizes of what flows through a layer for one sample: the batch dimension never counts."""

import math


class UnknownDimensionError(ValueError):
    """A dimension is `None` where its size decides how much work there is."""


def size(shape, axes=None) -> int:
    """Returns how many elements one sample has, over all axes but the batch or over some of them.

    Args:
        shape: Shape of a tensor, batch first.
        axes: Axes to count over. Optional.

    Returns:
        The product of the dimensions; 1 for no axes.

    Raises:
        UnknownDimensionError: If one of the dimensions is `None`.

    Example:

    >>> size((None, 4, 5, 3)), size((None, 4, 5, 3), axes=(1, 2))
    (60, 20)
    """
    dimensions = shape[1:] if axes is None else [shape[axis] for axis in axes]
    if None in dimensions:
        raise UnknownDimensionError(str(tuple(shape)))
    return math.prod(dimensions)


def positions(shape, data_format="channels_last") -> int:
    """Returns at how many places of one sample there is a vector of channels.

    Args:
        shape: Shape of a tensor, batch first.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        The product of all dimensions but the batch and the channels; 1 for a vector.

    Raises:
        UnknownDimensionError: If one of the dimensions is `None`.

    Example:

    >>> positions((None, 4, 5, 3)), positions((None, 3, 4, 5), "channels_first")
    (20, 20)
    """
    last = len(shape)
    return size(shape, range(2, last) if data_format == "channels_first" else range(1, last - 1))

"""Layers that give the same elements another shape or order."""

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.registry import register_rule


@register_rule(keras.layers.Flatten)
def flatten(call):
    """Each unit is found again at every position it had; channels first, Keras transposes before it flattens."""
    inputs = call.inputs[0]
    rank = len(inputs.shape)
    if call.layer.data_format == "channels_first" and rank > 2:
        inputs = moved(inputs, [0, *range(2, rank), 1])
    return call.output(regroup(call, inputs))


@register_rule(keras.layers.Reshape)
def reshape(call):
    """Units are followed through merged and divided axes; sizes in the target shape count them."""
    axes = regroup(call, call.inputs[0])
    resize_shape(call, "target_shape", axes, first=1)
    return call.output(axes)


@register_rule(keras.layers.Permute)
def permute(call):
    """Units go where their axis goes."""
    return moved(call.inputs[0], [0, *call.layer.dims])


@register_rule(keras.layers.RepeatVector)
def repeat_vector(call):
    """A new axis is put in behind the batch."""
    return call.output({axis + (axis > 0): atoms for axis, atoms in call.inputs[0].axes.items()})


def moved(channels, order):
    """Returns the channels of a transposed tensor, whose axis `i` was axis `order[i]` before."""
    shape = tuple(channels.shape[axis] for axis in order)
    return Channels(shape, {order.index(axis): atoms for axis, atoms in channels.axes.items()})


def resize_shape(call, entry, axes, first=0):
    """States that a shape in the config counts units, except where Keras works the size out.

    It is stated of all axes: another call of the layer may have units where this one has none.

    Args:
        call: The `LayerCall`.
        entry: Key of the shape in the config.
        axes: From axis of the output to its atoms.
        first: The axis that the first size in the shape belongs to.
    """
    shape = call.layer.get_config()[entry]
    sizes = call.output_shapes[0]
    for axis, size in enumerate(shape, first):
        if size not in (-1, None):
            call.resize(entry, axes.get(axis, np.full(sizes[axis], WHOLE)), index=axis - first)


def regroup(call, inputs):
    """Returns where units are found after a reshape to the output's shape: a mapping from axis to atoms.

    The shape before and the one after fall into blocks of axes that hold the same elements. In each block the units
    are laid out flat and cut into the new axes. Should they then run along several of these, those that share a place
    on the last axis are tied, so that whole slices of it can go.
    """
    shape = call.output_shapes[0]
    axes = {}
    for old, new in _blocks(inputs.shape, shape):
        tracked = [axis for axis in old if (inputs.along(axis) != WHOLE).any()]
        sizes = [shape[axis] for axis in new]
        if not tracked:
            continue
        if not new or None in [inputs.shape[axis] for axis in old] + sizes:
            for axis in tracked:
                call.keep_whole(inputs.along(axis), "it is reshaped together with an axis of unknown size")
            continue
        *others, last = tracked
        for axis in others:
            call.keep_whole(inputs.along(axis), "it is merged with another axis that has units")
        block = Channels(tuple(inputs.shape[axis] for axis in old), {last - old[0]: inputs.along(last)})
        axis, atoms = _cut(call, block.flat(first=0).reshape(sizes))
        axes[new[axis]] = atoms
    return axes


def _blocks(before, after):
    """Returns pairs of the axes, before and after a reshape, that hold the same elements, in the finest way."""
    found = []
    while before:
        first, second = _last_block(before, after)
        found.append((list(range(first, len(before))), list(range(second, len(after)))))
        before, after = before[:first], after[:second]
    return found


def _last_block(before, after):
    """Returns where the shortest ends of two shapes begin that hold equally many elements; 0 if a size is unknown."""
    ends = [len(before), len(after)]
    sizes = [1, 1]
    while ends[0] == len(before) or ends[1] == len(after) or sizes[0] != sizes[1]:
        side = int(ends[0] < len(before) and sizes[0] >= sizes[1])
        shape = (before, after)[side]
        if not ends[side] or shape[ends[side] - 1] is None:
            return 0, 0
        ends[side] -= 1
        sizes[side] *= shape[ends[side]]
    return tuple(ends)


def _cut(call, grid):
    """Returns the axis of an array of atoms along which to cut it, and the atoms along that axis.

    It is the one axis along which the atoms differ, if there is one; else the last, with the atoms on it tied.
    """
    rows = {axis: np.moveaxis(grid, axis, -1).reshape(-1, size) for axis, size in enumerate(grid.shape)}
    for axis in reversed(rows):
        if (rows[axis] == rows[axis][0]).all():
            return axis, rows[axis][0]
    last = max(axis for axis in rows if grid.shape[axis] > 1)
    call.tie(rows[last][:-1].ravel(), rows[last][1:].ravel())
    return last, rows[last][0]

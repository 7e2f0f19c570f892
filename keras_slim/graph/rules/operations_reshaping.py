"""Operations that give the same elements another shape or order, or repeat them."""

import numpy as np

from keras_slim.graph.channels import WHOLE
from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.operands import Operand, broadcast
from keras_slim.graph.rules.reshaping import moved, regroup, resize_shape


@register_rule("ops.Reshape")
def reshape(call):
    """Units are followed through merged and divided axes; sizes in the new shape count them."""
    axes = regroup(call, call.inputs[0])
    resize_shape(call, "newshape", axes)
    return call.output(axes)


@register_rule("ops.Ravel")
def ravel(call):
    """All axes are merged."""
    return call.output(regroup(call, call.inputs[0]))


@register_rule("ops.Transpose")
def transpose(call):
    """Units go where their axis goes."""
    return _reordered(call, lambda axes: axes.transpose(call.layer.axes))


@register_rule("ops.Moveaxis")
def moveaxis(call):
    """Units go where their axis goes."""
    return _reordered(call, lambda axes: np.moveaxis(axes, call.layer.source, call.layer.destination))


@register_rule("ops.Swapaxes")
def swapaxes(call):
    """Units go where their axis goes."""
    return _reordered(call, lambda axes: axes.swapaxes(call.layer.axis1, call.layer.axis2))


def _reordered(call, reorder):
    """Returns the channels of the output, given what NumPy does to an array whose axis `i` has size `i`."""
    inputs = call.inputs[0]
    return moved(inputs, list(reorder(np.empty(range(len(inputs.shape)))).shape))


@register_rule("ops.Squeeze")
def squeeze(call):
    """Axes of size one disappear; a single unit along one of them stays."""
    inputs, axes = call.inputs[0], call.layer.axis
    rank = len(inputs.shape)
    axes = [axis for axis in range(rank) if inputs.shape[axis] == 1] if axes is None else np.atleast_1d(axes) % rank
    for axis in axes:
        call.keep_whole(inputs.along(axis), "its axis disappears")
    left = [axis for axis in range(rank) if axis not in axes]
    return call.output({left.index(axis): atoms for axis, atoms in inputs.axes.items() if axis in left})


@register_rule("ops.ExpandDims")
def expand_dims(call):
    """Axes of size one are put in."""
    rank = len(call.output_shapes[0])
    left = [axis for axis in range(rank) if axis not in np.atleast_1d(call.layer.axis) % rank]
    return call.output({left[axis]: atoms for axis, atoms in call.inputs[0].axes.items()})


@register_rule("ops.BroadcastTo")
def broadcast_to(call):
    """Axes are handed on unless their size was one; sizes in the shape count their units."""
    channels = broadcast(call, [Operand(call.inputs[0])])
    resize_shape(call, "shape", channels.axes)
    return channels


@register_rule("ops.Repeat")
def repeat(call):
    """Each unit is found again beside itself, if all are repeated alike."""
    inputs, axis = call.inputs[0], call.layer.axis
    repeats = np.atleast_1d(call.layer.repeats)
    if axis is None:
        return call.keep_inputs_whole("repeat merges all axes")
    axis %= len(inputs.shape)
    axes = dict(inputs.axes)
    if axis in axes and len(repeats) > 1:
        call.keep_whole(axes.pop(axis), "they are repeated unlike each other")
    elif axis in axes:
        axes[axis] = np.repeat(axes[axis], repeats)
    return call.output(axes)


@register_rule("ops.Tile")
def tile(call):
    """Each unit is found again one period on."""
    inputs, rank = call.inputs[0], len(call.output_shapes[0])
    repeats = [1] * rank + list(np.atleast_1d(call.layer.repeats))
    axes = {axis - len(inputs.shape): atoms for axis, atoms in inputs.axes.items()}
    return call.output({axis: np.tile(atoms, repeats[axis]) for axis, atoms in axes.items()})


@register_rule("ops.Flip")
def flip(call):
    """Units stand in reverse along the axes that are flipped."""
    inputs, flipped = call.inputs[0], call.layer.axis
    rank = len(inputs.shape)
    flipped = range(rank) if flipped is None else np.atleast_1d(flipped) % rank
    return call.output({axis: atoms[::-1] if axis in flipped else atoms for axis, atoms in inputs.axes.items()})


@register_rule("ops.Fliplr", "ops.Flipud")
def flip_along(call):
    """Units stand in reverse along the axis that is flipped."""
    flipped = {"Fliplr": 1, "Flipud": 0}[type(call.layer).__name__]
    axes = call.inputs[0].axes
    return call.output({axis: atoms[::-1] if axis == flipped else atoms for axis, atoms in axes.items()})


@register_rule("ops.Rot90")
def rot90(call):
    """Units along the two axes of the plane change places; by two right angles Keras turns only squares."""
    inputs, turns = call.inputs[0], call.layer.k % 4
    first, second = (axis % len(inputs.shape) for axis in call.layer.axes)
    axes = {axis: atoms for axis, atoms in inputs.axes.items() if axis not in (first, second)}
    for axis, to, reversing in ((first, second, 3), (second, first, 1)):
        if axis in inputs.axes and turns % 2:
            axes[to] = inputs.axes[axis][:: -1 if turns == reversing else 1]
        elif axis in inputs.axes:
            call.keep_whole(inputs.axes[axis], "the plane would be no square, which Keras turns wrongly")
    return call.output(axes)


@register_rule("ops.Pad")
def pad(call):
    """What is put in belongs to no unit; channels that are reflected or repeated into the padding stay."""
    inputs, operation = call.inputs[0], call.layer
    widths = list(operation.pad_width) * (len(inputs.shape) if len(operation.pad_width) == 1 else 1)
    axes = dict(inputs.axes)
    for axis, atoms in inputs.axes.items():
        if operation.mode != "constant" and any(widths[axis]):
            call.keep_whole(atoms, f"the padding '{operation.mode}' repeats channels")
        axes[axis] = np.pad(atoms, widths[axis], constant_values=WHOLE)
    return call.output(axes)

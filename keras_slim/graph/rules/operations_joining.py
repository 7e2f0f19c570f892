"""Operations that join tensors, divide them, or pick out parts of them."""

import keras
import numpy as np

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.operands import join, meet, operands

AXES = {"Hstack": 1, "Vstack": 0, "Dstack": 2, "Hsplit": 1, "Vsplit": 0, "Dsplit": 2}
"""Along which axis operations join or divide that have no argument for it."""


@register_rule("ops.Concatenate")
def concatenate(call):
    """Units lie one after the other along the joined axis, and are tied along all others."""
    return join(call, operands(call), call.layer.axis)


@register_rule("ops.Append", "ops.Hstack", "ops.Vstack", "ops.Dstack")
def join_along(call):
    """As a concatenation along an axis; what has too few axes for that stays whole."""
    given, axis = operands(call), _axis(call)
    if axis is None or any(len(each.channels.shape) <= axis for each in given):
        return call.keep_inputs_whole("it is joined along an axis that it does not have")
    return join(call, given, axis)


def _axis(call):
    name = type(call.layer).__name__
    return AXES[name] if name in AXES else call.layer.axis  # noqa: SIM401 (operations in the table have no axis)


@register_rule("ops.Stack")
def stack(call):
    """A new axis is put in; units are tied along all others."""
    given, shape = operands(call), call.output_shapes[0]
    rank = len(shape)
    old = [axis for axis in range(rank) if axis != call.layer.axis % rank]
    axes = {new: meet(call, [(each, axis) for each in given], shape[new]) for axis, new in enumerate(old)}
    return call.output({axis: atoms for axis, atoms in axes.items() if atoms is not None})


@register_rule("ops.Split", "ops.Hsplit", "ops.Vsplit", "ops.Dsplit")
def split(call):
    """Each part has the units that lie in it; where the parts end is counted anew."""
    inputs = call.inputs[0]
    axis = _axis(call) % len(inputs.shape)
    if axis not in inputs.axes:
        return [call.output(inputs.axes, index) for index in range(len(call.output_shapes))]
    ends = np.cumsum([shape[axis] for shape in call.output_shapes])[:-1]
    call.resize("indices_or_sections", tuple(inputs.axes[axis][:end] for end in ends))
    parts = np.split(inputs.axes[axis], ends)
    return [call.output({**inputs.axes, axis: part}, index) for index, part in enumerate(parts)]


@register_rule("ops.ArraySplit")
def array_split(call):
    """Keras works out itself where the parts end, as even as can be, so what is divided stays whole."""
    inputs = call.inputs[0]
    axis = call.layer.axis % len(inputs.shape)
    call.keep_whole(inputs.along(axis), "they are divided evenly")
    left = {other: atoms for other, atoms in inputs.axes.items() if other != axis}
    return [call.output(left, index) for index in range(len(call.output_shapes))]


@register_rule("ops.GetItem")
def get_item(call):
    """A slice hands its units on, a number picks out one that stays, and both are counted anew."""
    axes, old, new = {}, 0, 0
    for argument, item in _items(call.argument("key", 1), len(call.inputs[0].shape)):
        if item is not None:
            if old in call.inputs[0].axes:
                axes |= _pick(call, argument, item, call.inputs[0].axes[old], new)
            old += 1
        new += item is None or isinstance(item, slice)
    return call.output(axes)


def _items(key, rank):
    """Returns the items of an index, dots written out as slices, with the place of each among the arguments."""
    items = [((1, place), item) for place, item in enumerate(key)] if isinstance(key, (tuple, list)) else [((1,), key)]
    dots = next((place for place, (_, item) in enumerate(items) if item is Ellipsis), len(items))
    indexed = sum(item is not None and item is not Ellipsis for _, item in items)
    items[dots : dots + 1] = [(None, slice(None))] * (rank - indexed)
    return items


@register_rule("ops.Take")
def take(call):
    """A constant list of positions hands their units on, a number picks out one that stays; both are counted anew."""
    inputs, axis, indices = call.argument("x", 0), call.layer.axis, call.argument("indices", 1)
    if axis is None:
        return call.keep_inputs_whole("which elements are taken is not known")
    inputs = call.channels_of(inputs)
    axis %= len(inputs.shape)
    added = len(np.shape(indices)) - 1
    axes = {other + added * (other > axis): atoms for other, atoms in inputs.axes.items() if other != axis}
    if isinstance(indices, keras.KerasTensor):
        call.keep_whole(inputs.along(axis), "which elements are taken is not known")
        axes |= {other + axis: atoms for other, atoms in call.channels_of(indices).axes.items()}
    elif axis in inputs.axes:
        axes |= _pick(call, (1,), np.asarray(indices), inputs.axes[axis], axis)
    return call.output(axes)


@register_rule("ops.Slice")
def slice_(call):
    """Each axis hands on the units in its range; where it starts and how long it is are counted anew."""
    inputs, starts = call.inputs[0], call.argument("start_indices", 1)
    if len(call.inputs) > 1 or not isinstance(starts, (tuple, list)):
        return call.keep_inputs_whole("where the slice starts is not known")
    axes = {}
    for axis, atoms in inputs.axes.items():
        start, size = starts[axis], call.output_shapes[0][axis]
        axes[axis] = atoms[start : start + size]
        call.positions((1, axis), atoms)
        if call.layer.shape[axis] != -1:
            call.resize("shape", axes[axis], index=axis)
    return call.output(axes)


def _pick(call, argument, item, atoms, axis):
    """Returns the axis of the output, and its atoms, that a slice, a number or an array picks out, if there is one."""
    if isinstance(item, slice) and item.step not in (None, 1) and item != slice(None, None, -1):
        call.keep_whole(atoms, "every so many of them are picked out")
        return {}
    picked = np.asarray(atoms[item])
    if picked.ndim == 0:
        call.keep_whole(picked[None], "it is picked out alone")
    elif picked.ndim > 1:
        call.keep_whole(atoms, "they are laid out along several axes")
        return {}
    if argument is not None:
        call.positions(argument, atoms)
    return {axis: picked} if picked.ndim else {}

"""Operations that lay the pixels of a block out along the channels, or channels out as a block of pixels."""

import keras
import numpy as np

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.convolution import keep_other_axes_whole


@register_rule("ops.SpaceToDepth")
def space_to_depth(call):
    """Each unit is found again at every place of a block."""
    axis, atoms = _channels(call)
    block = np.broadcast_to(np.arange(len(atoms)), (call.layer.block_size,) * 2 + atoms.shape)
    return call.output({axis: atoms[_moved(call, block).ravel()]})


@register_rule("ops.DepthToSpace")
def depth_to_space(call):
    """The units that make up the pixels of a block in one channel are tied."""
    axis, atoms = _channels(call)
    first, *others = atoms[_moved(call, np.arange(len(atoms)).reshape(1, 1, -1))].reshape(call.layer.block_size**2, -1)
    for other in others:
        call.tie(first, other)
    return call.output({axis: first})


@register_rule("ops.ExtractPatches")
def extract_patches(call):
    """Each unit is found again at every place of a patch, one period on."""
    axis, atoms = _channels(call)
    return call.output({axis: np.tile(atoms, np.prod(call.layer.size))})


@register_rule("ops.Unfold")
def unfold(call):
    """Each unit is found again at every place of a patch, beside itself."""
    keep_other_axes_whole(call, 1)
    return call.output({1: np.repeat(call.inputs[0].along(1), np.prod(_pair(call.layer.kernel_size)))})


@register_rule("ops.Fold")
def fold(call):
    """The units that make up a patch of one channel are tied."""
    keep_other_axes_whole(call, 1)
    patches = call.inputs[0].along(1).reshape(-1, np.prod(_pair(call.layer.kernel_size)))
    for patch in patches:
        call.tie_all(patch)
    return call.output({1: patches[:, 0]})


def _pair(size):
    return (size, size) if isinstance(size, int) else size


def _channels(call):
    """Returns the axis of the channels, counted from the end, and what runs along it; all else is kept whole."""
    rank = 5 if len(getattr(call.layer, "size", ())) == 3 else 4
    axis = 1 - rank if call.layer.data_format == "channels_first" else -1
    keep_other_axes_whole(call, axis)
    return axis, call.inputs[0].along(axis)


def _moved(call, numbers):
    """Returns where an operation puts the numbers of channels: each backend has an order of its own."""
    is_first = call.layer.data_format == "channels_first"
    numbers = np.moveaxis(numbers, -1, 0) if is_first else numbers
    moved = keras.ops.convert_to_numpy(call.layer(numbers[None].astype("float32"))).astype(int)[0]
    return np.moveaxis(moved, 0, -1) if is_first else moved

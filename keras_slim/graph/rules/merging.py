"""Layers that join several tensors."""

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE
from keras_slim.graph.registry import register_rule


@register_rule(
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
    "CustomScaleLayer",
)
def elementwise_merge(call):
    """Units that meet at one position go together; a size of one is broadcast and stays."""
    shape = call.output_shapes[0]
    axes = {}
    for axis in range(-1, -len(shape), -1):
        present = [channels for channels in call.inputs if len(channels.shape) > -axis]
        if not any(axis % len(channels.shape) in channels.axes for channels in present):
            continue
        meeting = [channels.along(axis) for channels in present if channels.shape[axis] == shape[axis]]
        for atoms in (channels.along(axis) for channels in present if channels.shape[axis] != shape[axis]):
            call.keep_whole(atoms, "it is broadcast over other channels")
        for other in meeting[1:]:
            call.tie(meeting[0], other)
        axes[axis] = next((atoms for atoms in meeting if (atoms != WHOLE).any()), meeting[0])
    return call.output(axes)


@register_rule(keras.layers.Concatenate)
def concatenate(call):
    """Units lie one after the other along the joined axis, and are tied along all others."""
    joined = call.layer.axis % len(call.output_shapes[0])
    if call.output_shapes[0][joined] is None:
        return call.keep_inputs_whole("the size of the joined axis is not known")
    axes = {joined: np.concatenate([channels.along(joined) for channels in call.inputs])}
    for axis in {axis for channels in call.inputs for axis in channels.axes} - {joined}:
        axes[axis] = call.inputs[0].along(axis)
        for other in call.inputs[1:]:
            call.tie(axes[axis], other.along(axis))
    return call.output(axes)

"""Layers that join several tensors."""

import keras

from keras_slim.graph.channels import Channels
from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.operands import Operand, broadcast, join


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
    rank = len(call.output_shapes[0])
    return broadcast(call, [Operand(_of_rank(channels, rank)) for channels in call.inputs])


def _of_rank(channels, rank):
    """Returns the channels of a tensor after axes of size one are put in behind the batch, as Keras does."""
    missing = rank - len(channels.shape)
    axes = {axis + missing if axis else 0: atoms for axis, atoms in channels.axes.items()}
    return Channels((*channels.shape[:1], *[1] * missing, *channels.shape[1:]), axes)


@register_rule(keras.layers.Concatenate)
def concatenate(call):
    """Units lie one after the other along the joined axis, and are tied along all others."""
    return join(call, [Operand(channels) for channels in call.inputs], call.layer.axis)

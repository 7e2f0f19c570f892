"""Operations that normalise, with what they multiply by and add given as arguments."""

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.operands import operands


@register_rule("ops.LayerNorm", "ops.Normalize", "ops.RMSNorm")
def normalization_over_channels(call):
    """Statistics are taken over the units that are there; scale and shift follow them."""
    axes = call.layer.axis
    return _normalized(call, [axes] if isinstance(axes, int) else sorted(axes), call.statistics)


@register_rule("ops.BatchNorm")
def normalization_of_channels(call):
    """Mean, variance, scale and shift follow the units."""
    return _normalized(call, [call.layer.axis], lambda axis, atoms, leaf: None)


def _normalized(call, axes, state):
    """Returns the channels of the output; all other arguments run along some axes of the first, or along all."""
    inputs, *others = operands(call)
    rank = len(inputs.channels.shape)
    for position, axis in enumerate(each % rank for each in axes):
        atoms = inputs.channels.along(axis)
        state(axis, atoms, inputs.leaf)
        for other in others:
            shape = other.channels.shape
            place = position if len(shape) == len(axes) else axis
            if len(shape) in (len(axes), rank) and shape[place] == inputs.channels.shape[axis]:
                other.follow(call, place, atoms)
                state(place, atoms, other.leaf)
            else:
                call.keep_whole(atoms, "they meet a scale or shift of another shape")
                call.keep_whole(other.channels, "it is broadcast over other channels")
    return call.output(inputs.channels.axes)

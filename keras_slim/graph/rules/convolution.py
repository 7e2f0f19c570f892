"""Convolutions of one, two and three dimensions."""

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.elementwise import own_activation


def channel_axis(layer):
    """Returns the axis of the channels in the layer's data format, which some one-dimensional layers do not have."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


@register_rule(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
def convolution(call):
    """A unit is a filter. Positions are mixed, so units that run along them stay whole."""
    layer, (inputs,) = call.layer, call.inputs
    if layer.groups > 1:
        return call.keep_inputs_whole("grouped convolutions have no rule yet")
    axis = channel_axis(layer)
    units = call.new_units(layer.filters)
    keep_other_axes_whole(call, axis)
    call.weight(layer.kernel, consumes={-2: inputs.along(axis)}, produces={-1: units})
    call.weight(layer.bias, follows={0: units})
    call.resize("filters", units)
    own_activation(call, units)
    return call.output({axis: units})


def keep_other_axes_whole(call, axis):
    """Keeps whole what runs along any axis of the input but `axis`."""
    inputs = call.inputs[0]
    for other, atoms in inputs.axes.items():
        if other != axis % len(inputs.shape):
            call.keep_whole(atoms, "its units lie along positions that the layer mixes")

"""Convolutions of one, two and three dimensions: ordinary, grouped, depthwise, separable and transposed."""

import keras
import numpy as np

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.elementwise import own_activation
from keras_slim.layers.adder_depthwise_conv2d import AdderDepthwiseConv2D


def channel_axis(layer):
    """Returns the axis of the channels in the layer's data format, which some one-dimensional layers do not have."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def keep_other_axes_whole(call, axis):
    """Keeps whole what runs along any axis of the input but `axis`."""
    inputs = call.inputs[0]
    for other, atoms in inputs.axes.items():
        if other != axis % len(inputs.shape):
            call.keep_whole(atoms, "its units lie along positions that the layer mixes")


def finish(call, units):
    """States what is the same for the output of every convolution, and returns it."""
    axis = channel_axis(call.layer)
    keep_other_axes_whole(call, axis)
    call.weight(call.layer.bias, follows={0: units})
    own_activation(call, units, axis)
    return call.output({axis: units})


@register_rule(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
def convolution(call):
    """A unit is a filter.

    With groups, each loses as many filters and channels as the others; where each has one input channel, the layer is
    a depthwise convolution, and a unit is the whole group.
    """
    layer, atoms = call.layer, call.inputs[0].along(channel_axis(call.layer))
    groups, per_group = layer.groups, len(atoms) // layer.groups
    if groups > 1 and per_group == 1:
        units = np.repeat(atoms, layer.filters // groups)
        call.weight(layer.kernel, follows={-1: units})
        call.resize("groups", atoms)
    else:
        units = call.new_units(layer.filters)
        call.weight(layer.kernel, consumes={-2: tied_groups(call, atoms, groups)[:per_group]}, produces={-1: units})
        call.linear(layer.kernel, -2, atoms, layer.bias, groups=groups, output_axis=channel_axis(layer))
        tied_groups(call, units, groups)
    call.resize("filters", units)
    return finish(call, units)


def tied_groups(call, atoms, groups):
    """Ties the atoms at equal places of all groups, and returns them all."""
    first, *others = np.split(atoms, groups)
    for other in others:
        call.tie(first, other)
    return atoms


@register_rule(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D, AdderDepthwiseConv2D)
def depthwise_convolution(call):
    """Each channel keeps its own unit, which with a multiplier fills several channels of the output."""
    layer, atoms = call.layer, call.inputs[0].along(channel_axis(call.layer))
    call.weight(layer.kernel, follows={-2: atoms})
    return finish(call, np.repeat(atoms, layer.depth_multiplier))


@register_rule(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
def separable_convolution(call):
    """A depthwise convolution, then one whose units are its filters."""
    layer, atoms = call.layer, call.inputs[0].along(channel_axis(call.layer))
    units = call.new_units(layer.filters)
    call.weight(layer.depthwise_kernel, follows={-2: atoms})
    inner = np.repeat(atoms, layer.depth_multiplier)
    call.weight(layer.pointwise_kernel, consumes={-2: inner}, produces={-1: units})
    if layer.padding != "causal":
        half = {"through": _depthwise_half(layer), "read": inner}
        call.linear(layer.pointwise_kernel, -2, atoms, layer.bias, **half, output_axis=channel_axis(layer))
    call.resize("filters", units)
    return finish(call, units)


def _depthwise_half(layer):
    """Returns the function that a separable convolution applies before it sums over channels."""

    def depthwise(inputs):
        options = layer.strides, layer.padding, layer.data_format, layer.dilation_rate
        inputs, kernel = (keras.ops.cast(each, layer.compute_dtype) for each in (inputs, layer.depthwise_kernel))
        return keras.ops.depthwise_conv(inputs, kernel, *options)

    return depthwise


@register_rule(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
def transposed_convolution(call):
    """A unit is a filter; the kernel has its filters before its input channels."""
    layer, atoms = call.layer, call.inputs[0].along(channel_axis(call.layer))
    units = call.new_units(layer.filters)
    call.weight(layer.kernel, consumes={-1: atoms}, produces={-2: units})
    call.linear(layer.kernel, -1, atoms, layer.bias if set(layer.strides) == {1} else None)
    call.resize("filters", units)
    return finish(call, units)

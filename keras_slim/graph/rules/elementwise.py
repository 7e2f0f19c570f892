"""Layers and activation functions that treat each channel alone and leave the shape as it is."""

import keras

from keras_slim.graph.functions import is_elementwise, name_of
from keras_slim.graph.handing_on import as_function, dtype_of
from keras_slim.graph.registry import find_rule, register_rule
from keras_slim.graph.trying import MIXES, mixes_because


def own_activation(call, units, axis=-1):
    """Keeps the layer's own units, along an axis of its output, whole if its activation mixes them."""
    shape = call.output_shapes[0]
    reason = mixing(call.layer.activation, shape, axis % len(shape), call.layer.compute_dtype)
    if reason:
        call.keep_whole(units, reason)


def mixing(activation, shape, axis, dtype):
    """Returns why units along an axis cannot be cut from what an activation is given; empty if they can.

    Args:
        activation: A function, a layer or `None`. One that nobody knows is tried.
        shape: The shape of what it is given; unknown sizes are `None`.
        axis: The axis, non-negative.
        dtype: The type.
    """
    if activation is None or is_elementwise(activation):
        return ""
    rule = find_rule(activation)
    if rule is elementwise:
        return ""
    is_layer = isinstance(activation, keras.Layer)
    function = as_function(activation) if is_layer else activation
    if rule is not None or function is None:
        reason = MIXES
    else:
        output = (len(shape), axis) if is_layer else None
        reason = mixes_because(function, shape, axis, dtype, output, activation)
    return f"activation '{name_of(activation)}' {reason}" if reason else ""


@register_rule(
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization,
    "StochasticDepth",
)
def elementwise(call):
    """Every axis is handed on.

    The rule of a layer of your own, or of a function that layers are given, that treats each channel alone and all
    alike: `register_rule(my_swish, MyNoise)(elementwise)`.
    """
    return call.unchanged()


@register_rule(keras.layers.PReLU)
def parametric_relu(call):
    """The slopes follow the units of every axis that does not share them."""
    inputs = call.inputs[0]
    shared = call.layer.shared_axes or ()
    call.weight(
        call.layer.alpha, follows={axis - 1: atoms for axis, atoms in inputs.axes.items() if axis not in shared}
    )
    return call.unchanged()


@register_rule(keras.layers.Softmax)
def softmax(call):
    """A softmax over units mixes them; over other axes every axis is handed on."""
    inputs = call.inputs[0]
    axes = [call.layer.axis] if isinstance(call.layer.axis, int) else call.layer.axis
    for axis in axes:
        call.keep_whole(inputs.along(axis), "softmax mixes the channels")
    return call.unchanged()


@register_rule(keras.layers.Masking)
def masking(call):
    """A step is masked if all its channels have the mask's value, so none of them can go."""
    call.keep_whole(call.inputs[0], "whether a step is masked depends on all channels")
    return call.unchanged()


@register_rule(keras.layers.Activation)
def activation(call):
    """An activation layer hands every axis on, unless its function mixes channels."""
    inputs, dtype = call.inputs[0], dtype_of(call.node.inputs[0], call.layer)
    for axis in inputs.axes:
        reason = mixing(call.layer.activation, inputs.shape, axis, dtype)
        if reason:
            return call.keep_inputs_whole(reason)
    return call.unchanged()

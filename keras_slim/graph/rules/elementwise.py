"""Layers and activation functions that treat each channel alone and leave the shape as it is."""

import keras

from keras_slim.graph.registry import find_rule, register_rule

ELEMENTWISE = {
    keras.activations.celu,
    keras.activations.elu,
    keras.activations.exponential,
    keras.activations.gelu,
    keras.activations.hard_shrink,
    keras.activations.hard_sigmoid,
    keras.activations.hard_silu,
    keras.activations.hard_tanh,
    keras.activations.leaky_relu,
    keras.activations.linear,
    keras.activations.log_sigmoid,
    keras.activations.mish,
    keras.activations.relu,
    keras.activations.relu6,
    keras.activations.selu,
    keras.activations.sigmoid,
    keras.activations.silu,
    keras.activations.soft_shrink,
    keras.activations.softplus,
    keras.activations.softsign,
    keras.activations.sparse_plus,
    keras.activations.sparse_sigmoid,
    keras.activations.squareplus,
    keras.activations.tanh,
    keras.activations.tanh_shrink,
    keras.activations.threshold,
}
"""Activation functions that act on each element alone; softmax and its like are not among them."""


def acts_alone(activation):
    """Returns whether an activation (a function, a layer or `None`) acts on each element alone."""
    return activation is None or activation in ELEMENTWISE or find_rule(activation) is elementwise


def own_activation(call, units):
    """Keeps the layer's own units whole if its activation mixes them."""
    if not acts_alone(call.layer.activation):
        call.keep_whole(units, f"activation '{activation_name(call.layer.activation)}' mixes the channels")


def activation_name(activation):
    """Returns what a person calls an activation."""
    return getattr(activation, "__name__", type(activation).__name__)


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
    """Every axis is handed on."""
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
    if not acts_alone(call.layer.activation):
        return call.keep_inputs_whole(f"activation '{activation_name(call.layer.activation)}' mixes the channels")
    return call.unchanged()

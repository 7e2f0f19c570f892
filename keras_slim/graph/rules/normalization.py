"""Normalisation that treats each channel alone."""

import keras

from keras_slim.graph.registry import register_rule


@register_rule(keras.layers.BatchNormalization)
def batch_normalization(call):
    """Scale, shift and moving statistics follow the units of the normalised axis."""
    layer, (inputs,) = call.layer, call.inputs
    units = inputs.along(layer.axis)
    for variable in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
        call.weight(variable, follows={0: units})
    return call.unchanged()

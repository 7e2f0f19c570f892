"""Pooling, padding, cropping and up-sampling: positions change, channels do not."""

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.convolution import channel_axis, keep_other_axes_whole


@register_rule(
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
    keras.layers.AdaptiveAveragePooling1D,
    keras.layers.AdaptiveAveragePooling2D,
    keras.layers.AdaptiveAveragePooling3D,
    keras.layers.AdaptiveMaxPooling1D,
    keras.layers.AdaptiveMaxPooling2D,
    keras.layers.AdaptiveMaxPooling3D,
    "ops.MaxPool",
    "ops.AveragePool",
    "ops.AdaptiveMaxPool",
    "ops.AdaptiveAveragePool",
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.UpSampling3D,
)
def pooling(call):
    """The channel axis stays where it is."""
    axis = channel_axis(call.layer)
    keep_other_axes_whole(call, axis)
    return call.output({axis: call.inputs[0].along(axis)})


@register_rule(
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
)
def global_pooling(call):
    """Only the channel axis is left, unless the others are kept with size one."""
    axis = channel_axis(call.layer)
    keep_other_axes_whole(call, axis)
    return call.output({axis if call.layer.keepdims else 1: call.inputs[0].along(axis)})

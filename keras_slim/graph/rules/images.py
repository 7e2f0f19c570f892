"""Layers and operations that resize, crop or move images: positions change, and all channels change alike."""

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.convolution import keep_other_axes_whole


@register_rule(
    keras.layers.Resizing,
    keras.layers.CenterCrop,
    keras.layers.RandomCrop,
    keras.layers.RandomFlip,
    keras.layers.RandomRotation,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
    keras.layers.RandomShear,
    keras.layers.RandomPerspective,
    "ops.Resize",
    "ops.CropImages",
    "ops.PadImages",
)
def image(call):
    """The channel axis stays where it is; what is random is the same for all channels."""
    axis = -3 if call.layer.data_format == "channels_first" else -1
    keep_other_axes_whole(call, axis)
    return call.output({axis: call.inputs[0].along(axis)})

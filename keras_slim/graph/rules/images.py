"""Layers and operations on images: positions or brightness change, and all channels change alike or each alone."""

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
    keras.layers.RandomElasticTransform,
    keras.layers.RandomBrightness,
    keras.layers.RandomContrast,
    keras.layers.RandomErasing,
    keras.layers.RandomGaussianBlur,
    keras.layers.RandomInvert,
    keras.layers.RandomPosterization,
    keras.layers.RandomSharpness,
    keras.layers.Solarization,
    keras.layers.Equalization,
    keras.layers.CutMix,
    keras.layers.MixUp,
    "ops.Resize",
    "ops.CropImages",
    "ops.PadImages",
    "ops.AffineTransform",
    "ops.ElasticTransform",
    "ops.GaussianBlur",
    "ops.PerspectiveTransform",
)
def image(call):
    """The channel axis stays where it is; what is random is the same for all channels."""
    if len(call.inputs) > 1:
        return call.keep_inputs_whole("images come with labels or boxes, or their transformation is computed")
    axis = -3 if call.layer.data_format == "channels_first" else -1
    keep_other_axes_whole(call, axis)
    return call.output({axis: call.inputs[0].along(axis)})


@register_rule(keras.layers.AutoContrast)
def auto_contrast(call):
    """Each channel is stretched to its own extremes; channels first, Keras takes them over channels and rows."""
    if call.layer.data_format == "channels_first":
        return call.keep_inputs_whole("it mixes the channels where they come first")
    return image(call)


@register_rule("ops.SobelEdges")
def sobel_edges(call):
    """The channel axis stays where it is, before that of the two directions."""
    rank = len(call.inputs[0].shape)
    axis = rank - 3 if call.layer.data_format == "channels_first" else rank - 1
    keep_other_axes_whole(call, axis)
    return call.output({axis: call.inputs[0].along(axis)})

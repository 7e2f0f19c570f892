"""Convolutions: each element of a kernel is used once per output position; of a transposed one, per input position.

Positions at a padded border count in full. Groups need no word: the kernel of a grouped convolution is smaller.
"""

from keras import layers

from keras_slim.profiling.sizes import positions
from keras_slim.profiling.work import register_work, weight_work


@register_work(layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
def convolution(layer, call):
    return weight_work(layer, {"kernel": positions(call.outputs[0].shape, layer.data_format)})


@register_work(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
def transposed_convolution(layer, call):
    return weight_work(layer, {"kernel": positions(call.inputs[0].shape, layer.data_format)})


@register_work(layers.SeparableConv1D, layers.SeparableConv2D)
def separable_convolution(layer, call):
    """The depthwise half takes the strides, so that both halves work at the output positions."""
    uses = positions(call.outputs[0].shape, layer.data_format)
    return weight_work(layer, {"depthwise_kernel": uses, "pointwise_kernel": uses})

"""Depthwise, then pointwise convolution of images with rounded weights and inputs."""

import keras
from keras import ops

from keras_slim.layers.bias_and_activation import with_bias
from keras_slim.layers.quantized import INPUTS, Quantized
from keras_slim.quantizers import Int, Place

BETWEEN = "between"


@keras.saving.register_keras_serializable("keras_slim")
class QuantSeparableConv2D(Quantized, keras.layers.SeparableConv2D):
    """Convolves in two halves with rounded weights and inputs, and learns by it.

    As `QuantConv2D`: a depthwise convolution, then one of single pixels. Both kernels are rounded. What passes between
    them is rounded if the inputs are integers in one range that is kept: to as many bits, in a range of its own, as a
    phone needs it. A drop-in for `keras.layers.SeparableConv2D`.

    Args:
        *args: Arguments of `keras.layers.SeparableConv2D`, in its order.
        kernel_quantizer: Quantizer of the two kernels: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.SeparableConv2D`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.SeparableConv2D`.

    Example:

    >>> import numpy as np
    >>> layer = QuantSeparableConv2D(1, 1, kernel_quantizer="binary", depthwise_initializer="ones")
    >>> layer.build((None, 1, 1, 2))
    >>> _ = layer.pointwise_kernel.assign([[[[-0.5], [-0.1]]]])
    >>> layer(np.full((1, 1, 1, 2), 2.0, "float32")).numpy().item()
    -4.0
    """

    weight_axes = {"depthwise_kernel": (-2, -1), "pointwise_kernel": (-1,)}
    constraints = ("depthwise_constraint", "pointwise_constraint")

    def build(self, input_shape=None):
        if self.built:
            return
        super().build(input_shape)
        place = Place(self.input_quantizer, BETWEEN, (self.channel_axis,), is_weight=False)
        if isinstance(self.input_quantizer, Int) and self.input_quantizer.has_range(place):
            self.places[BETWEEN] = place.build(self, tuple(input_shape))

    def call(self, inputs, training=None):
        """Returns what Keras's layer would for rounded inputs and weights, with a rounding between its halves."""
        if BETWEEN not in self.places:
            return super().call(inputs, training)
        depthwise, pointwise = (self.rounded(name, getattr(self, name), training) for name in self.weight_axes)
        options = self.strides, self.padding, self.data_format, self.dilation_rate
        between = ops.depthwise_conv(self.rounded(INPUTS, inputs, training), depthwise, *options)
        between = self.rounded(BETWEEN, between, training)
        outputs = ops.conv(between, pointwise, padding="valid", data_format=self.data_format)
        outputs = with_bias(self, outputs, self.channel_axis)
        return outputs if self.activation is None else self.activation(outputs)

    def compute(self, inputs, depthwise_kernel, pointwise_kernel):
        """Returns the convolution."""
        options = self.strides, self.padding, self.data_format, self.dilation_rate
        return ops.separable_conv(inputs, depthwise_kernel, pointwise_kernel, *options)

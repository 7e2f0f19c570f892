"""Depthwise, then pointwise convolution of images with rounded weights and inputs."""

import keras
from keras import ops

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantSeparableConv2D(Quantized, keras.layers.SeparableConv2D):
    """Convolves in two halves with rounded weights and inputs, and learns by it.

    As `QuantConv2D`: a depthwise convolution, then one of single pixels. Both kernels are rounded; what passes between
    them is not. For that, put a `QuantDepthwiseConv2D` and a `QuantConv2D` in its place. A drop-in for
    `keras.layers.SeparableConv2D`.

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

    def compute(self, inputs, depthwise_kernel, pointwise_kernel):
        """Returns the convolution."""
        options = self.strides, self.padding, self.data_format, self.dilation_rate
        return ops.separable_conv(inputs, depthwise_kernel, pointwise_kernel, *options)

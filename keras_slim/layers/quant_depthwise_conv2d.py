"""Convolution of each channel of images for itself, with rounded weights and inputs."""

import keras
from keras import ops

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantDepthwiseConv2D(Quantized, keras.layers.DepthwiseConv2D):
    """Convolves each channel with rounded weights and inputs, and learns by it.

    As `QuantConv2D`, each channel with filters of its own, and each filter with scales of its own. A drop-in for
    `keras.layers.DepthwiseConv2D`.

    Args:
        *args: Arguments of `keras.layers.DepthwiseConv2D`, in its order.
        kernel_quantizer: Quantizer of the kernel: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.DepthwiseConv2D`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.DepthwiseConv2D`.

    Example:

    >>> import numpy as np
    >>> layer = QuantDepthwiseConv2D(1, kernel_quantizer="binary", depthwise_initializer="ones")
    >>> layer(np.full((1, 1, 1, 2), 2.0, "float32")).numpy().ravel().tolist()
    [2.0, 2.0]
    """

    weight_axes = {"kernel": (-2, -1)}
    constraints = ("depthwise_constraint",)

    def compute(self, inputs, kernel):
        """Returns the convolution."""
        options = self.strides, self.padding, self.data_format, self.dilation_rate
        return ops.depthwise_conv(inputs, kernel, *options)

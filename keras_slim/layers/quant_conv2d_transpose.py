"""Transposed convolution over images with rounded weights and inputs."""

import keras
from keras import ops

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantConv2DTranspose(Quantized, keras.layers.Conv2DTranspose):
    """Convolves backwards with rounded weights and inputs, and learns by it.

    As `QuantConv2D`, transposed, to make images larger. A drop-in for `keras.layers.Conv2DTranspose`.

    Args:
        *args: Arguments of `keras.layers.Conv2DTranspose`, in its order.
        kernel_quantizer: Quantizer of the kernel: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.Conv2DTranspose`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.Conv2DTranspose`.

    Example:

    >>> import numpy as np
    >>> layer = QuantConv2DTranspose(1, 2, strides=2, kernel_quantizer="binary", kernel_initializer="ones")
    >>> layer(np.full((1, 1, 1, 1), 2.0, "float32")).numpy().ravel().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """

    weight_axes = {"kernel": (-2,)}

    def compute(self, inputs, kernel):
        """Returns the convolution."""
        options = self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate
        return ops.conv_transpose(inputs, kernel, *options)

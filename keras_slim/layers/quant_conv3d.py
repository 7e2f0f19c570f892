"""Convolution over volumes with rounded weights and inputs."""

import keras

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantConv3D(Quantized, keras.layers.Conv3D):
    """Convolves volumes with rounded weights and inputs, and learns by it.

    As `QuantConv2D`, along three axes. A drop-in for `keras.layers.Conv3D`.

    Args:
        *args: Arguments of `keras.layers.Conv3D`, in its order.
        kernel_quantizer: Quantizer of the kernel: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.Conv3D`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.Conv3D`.

    Example:

    >>> import numpy as np
    >>> layer = QuantConv3D(1, 1, kernel_quantizer="binary", kernel_initializer=keras.initializers.Constant(0.3))
    >>> layer(np.full((1, 1, 1, 1, 2), 2.0, "float32")).numpy().item()
    4.0
    """

    def compute(self, inputs, kernel):
        """Returns the convolution."""
        return self.convolution_op(inputs, kernel)

"""Convolution over images with rounded weights and inputs."""

import keras

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantConv2D(Quantized, keras.layers.Conv2D):
    """Convolves images with rounded weights and inputs, and learns by it.

    `y = conv(Q(x), Q(w)) + b`, through the activation. The layer keeps and trains `w` itself, and gradients reach it by
    the rule of its quantizer. A drop-in for `keras.layers.Conv2D`: without quantizers it is the same. The channels for
    which a quantizer may have scales of their own are the filters, and those of the inputs. The bias is not rounded.
    Zeros of padding stay zeros, also between inputs of -1 and 1.

    Args:
        *args: Arguments of `keras.layers.Conv2D`, in its order.
        kernel_quantizer: Quantizer of the kernel: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.Conv2D`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.Conv2D`.

    Example:

    >>> import numpy as np
    >>> layer = QuantConv2D(1, 1, kernel_quantizer="binary", kernel_initializer=keras.initializers.Constant(0.3))
    >>> layer(np.full((1, 1, 1, 2), 2.0, "float32")).numpy().item()
    4.0
    """

    def compute(self, inputs, kernel):
        """Returns the convolution."""
        return self.convolution_op(inputs, kernel)

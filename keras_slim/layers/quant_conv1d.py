"""Convolution over sequences with rounded weights and inputs."""

import keras
from keras import ops

from keras_slim.layers.bias_and_activation import with_bias
from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantConv1D(Quantized, keras.layers.Conv1D):
    """Convolves sequences with rounded weights and inputs, and learns by it.

    As `QuantConv2D`, along one axis. A drop-in for `keras.layers.Conv1D`.

    Args:
        *args: Arguments of `keras.layers.Conv1D`, in its order.
        kernel_quantizer: Quantizer of the kernel: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.Conv1D`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.Conv1D`.

    Example:

    >>> import numpy as np
    >>> layer = QuantConv1D(1, 2, padding="causal", kernel_quantizer="binary", kernel_initializer="ones")
    >>> layer(np.array([[[1.0], [3.0]]], "float32")).numpy().ravel().tolist()
    [1.0, 4.0]
    """

    def biased(self, inputs, kernel):
        """Returns the convolution with its bias, as one of images with one row.

        The converter makes one integer operation of it only if the row is there until the bias has been added. Zeros
        before the first step are padded after rounding.
        """
        steps = 2 if self.channel_axis == 1 else 1
        padding = self.padding
        if padding == "causal":
            before = [(0, 0)] * 3
            before[steps] = (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0)
            inputs, padding = ops.pad(inputs, before), "valid"
        options = (1, *self.strides), padding, self.data_format, (1, *self.dilation_rate)
        outputs = ops.conv(ops.expand_dims(inputs, steps), ops.reshape(kernel, (1, *kernel.shape)), *options)
        return ops.squeeze(with_bias(self, outputs, self.channel_axis), steps)

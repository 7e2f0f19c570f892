"""A dense layer with rounded weights and inputs."""

import keras
from keras import ops

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantDense(Quantized, keras.layers.Dense):
    """Multiplies by rounded weights, and learns by it.

    As `QuantConv2D`, of which it is the case of one pixel. A drop-in for `keras.layers.Dense`.

    Args:
        *args: Arguments of `keras.layers.Dense`, in its order.
        kernel_quantizer: Quantizer of the kernel: `"int"`, `"learned_step"`, `"binary"`, `"binary_scaled"`,
            `"ternary"`, `"trained_ternary"`, `"sign"`, or one of `keras_slim.quantizers`. Optional.
        input_quantizer: Quantizer of the inputs: `"int"`, `"learned_step"`, `"sign"`, or one of
            `keras_slim.quantizers`. Optional.
        **kwargs: Other arguments of `keras.layers.Dense`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.Dense`.

    Example:

    >>> import numpy as np
    >>> layer = QuantDense(1, kernel_quantizer="binary", kernel_initializer=keras.initializers.Constant(-0.3))
    >>> layer(np.array([[1.0, 3.0]], "float32")).numpy().item()
    -4.0
    """

    def compute(self, inputs, kernel):
        """Returns the product."""
        return ops.matmul(inputs, kernel)

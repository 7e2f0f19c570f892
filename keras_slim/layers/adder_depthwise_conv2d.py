"""Convolution of each channel of images for itself, without multiplications."""

import keras
from keras import ops

from keras_slim.layers.adder import LEARNING_RATE, AdderConvolution, standard_normal


@keras.saving.register_keras_serializable("keras_slim")
class AdderDepthwiseConv2D(AdderConvolution, keras.layers.DepthwiseConv2D):
    """Convolves each channel of images by L1 distance, without multiplications.

    As `AdderConv2D`, each channel with filters of its own. A drop-in for `keras.layers.DepthwiseConv2D`.

    Args:
        kernel_size: Integer or two of them.
        strides: As in `keras.layers.DepthwiseConv2D`, like all others but the last.
        padding: `"valid"` or `"same"`; a padded position counts `|0 - w|`.
        depth_multiplier: Number of filters of each channel.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer or two of them.
        activation: What is done to the outputs. Optional.
        use_bias: Whether to add a bias.
        depthwise_initializer: Defaults to a normal distribution of variance 1, as in the paper.
        local_learning_rate: As in `AdderConv2D`.
        **kwargs: Other arguments of `keras.layers.DepthwiseConv2D`: regularizers, constraints, name, dtype...

    Raises:
        ValueError: If an argument is not valid.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new height, new width, channels * depth_multiplier)`, or with the channels first.

    Example:

    >>> import numpy as np
    >>> layer = AdderDepthwiseConv2D(2, depthwise_initializer="ones")
    >>> layer(np.zeros((1, 2, 2, 3), "float32")).numpy().ravel().tolist()
    [-4.0, -4.0, -4.0]

    Reference:
        Chen et al. 2020, arXiv 1912.13200.
    """

    def __init__(
        self,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=(1, 1),
        activation=None,
        use_bias=True,
        depthwise_initializer=None,
        local_learning_rate=LEARNING_RATE,
        **kwargs,
    ):
        super().__init__(
            kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=standard_normal(depthwise_initializer),
            local_learning_rate=local_learning_rate,
            **kwargs,
        )

    def kernel_and_groups(self):
        """Returns the kernel as that of a convolution with as many groups as channels."""
        *size, channels, multiplier = self.kernel.shape
        return ops.reshape(self.kernel, (*size, 1, channels * multiplier)), channels

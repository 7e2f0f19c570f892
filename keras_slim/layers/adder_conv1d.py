"""Convolution over sequences without multiplications."""

import keras

from keras_slim.layers.adder import LEARNING_RATE, AdderConvolution, standard_normal


@keras.saving.register_keras_serializable("keras_slim")
class AdderConv1D(AdderConvolution, keras.layers.Conv1D):
    """Convolves sequences by L1 distance, without multiplications.

    As `AdderConv2D`, along one axis. A drop-in for `keras.layers.Conv1D`.

    Args:
        filters: Number of filters.
        kernel_size: Integer.
        strides: As in `keras.layers.Conv1D`, like all others but the last.
        padding: `"valid"`, `"same"` or `"causal"`; a padded position counts `|0 - w|`.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer.
        groups: Number of groups of channels.
        activation: What is done to the outputs. Optional.
        use_bias: Whether to add a bias.
        kernel_initializer: Defaults to a normal distribution of variance 1, as in the paper.
        local_learning_rate: As in `AdderConv2D`.
        **kwargs: Other arguments of `keras.layers.Conv1D`: regularizers, constraints, name, dtype...

    Raises:
        ValueError: If an argument is not valid.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new steps, filters)`, or `(batch, filters, new steps)`.

    Example:

    >>> import numpy as np
    >>> layer = AdderConv1D(1, 2, padding="causal", kernel_initializer="ones")
    >>> layer(np.array([[[1.0], [3.0]]], "float32")).numpy().ravel().tolist()
    [-1.0, -2.0]

    Reference:
        Chen et al. 2020, arXiv 1912.13200.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
        activation=None,
        use_bias=True,
        kernel_initializer=None,
        local_learning_rate=LEARNING_RATE,
        **kwargs,
    ):
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=standard_normal(kernel_initializer),
            local_learning_rate=local_learning_rate,
            **kwargs,
        )

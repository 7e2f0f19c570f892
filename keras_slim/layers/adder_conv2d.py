"""Convolution over images without multiplications."""

import keras

from keras_slim.layers.adder import LEARNING_RATE, AdderConvolution, standard_normal


@keras.saving.register_keras_serializable("keras_slim")
class AdderConv2D(AdderConvolution, keras.layers.Conv2D):
    """Convolves images by L1 distance, without multiplications.

    `y = -sum |x - w|` over each patch: a filter answers by how far the patch is from it. A drop-in for
    `keras.layers.Conv2D`. Answers are large and negative, so batch normalization belongs behind it, and the first and
    the last layer of a network stay ordinary. `keras_slim.adderize` makes all this out of a convolutional model.

    Its gradients are those of the paper: the difference `x - w` for the kernel, and `w - x`, clipped to -1 and 1, for
    the inputs. The kernel's gradient is scaled to the norm `local_learning_rate * sqrt(size)`, in each call of the
    layer: the layers of an adder network have gradients of very different sizes. That is done in the layer, before the
    optimizer: momentum, weight decay, clipping and every optimizer see it, and nobody has to remember it. A loss scale
    is divided out after it, which would undo it, so training in `mixed_float16` needs `local_learning_rate=None`;
    `mixed_bfloat16` does not.

    Args:
        filters: Number of filters.
        kernel_size: Integer or two of them.
        strides: As in `keras.layers.Conv2D`, like all others but the last.
        padding: `"valid"` or `"same"`; a padded position counts `|0 - w|`.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer or two of them.
        groups: Number of groups of channels.
        activation: What is done to the outputs. Optional.
        use_bias: Whether to add a bias.
        kernel_initializer: Defaults to a normal distribution of variance 1, as in the paper.
        local_learning_rate: `eta` of section 3.3, 0.1 to 0.2 in the paper; `None` for the plain gradient.
        **kwargs: Other arguments of `keras.layers.Conv2D`: regularizers, constraints, name, dtype...

    Raises:
        ValueError: If an argument is not valid.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new height, new width, filters)`, or `(batch, filters, new height, new width)`.

    Example:

    >>> import numpy as np
    >>> layer = AdderConv2D(1, 2, kernel_initializer="ones")
    >>> layer(np.zeros((1, 2, 2, 3), "float32")).numpy().item()
    -12.0

    Reference:
        Chen et al. 2020, "AdderNet: Do we really need multiplications in deep learning?", arXiv 1912.13200.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
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

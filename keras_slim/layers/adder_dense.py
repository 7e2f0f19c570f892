"""A dense layer without multiplications."""

import keras
from keras import ops

from keras_slim.layers.adder import LEARNING_RATE, Adder, standard_normal


@keras.saving.register_keras_serializable("keras_slim")
class AdderDense(Adder, keras.layers.Dense):
    """Answers by the L1 distance to each unit's weights, without multiplications.

    `y = -sum |x - w|`. As `AdderConv2D`, of which it is the case of one pixel. A drop-in for `keras.layers.Dense`.

    Args:
        units: Number of units.
        activation: What is done to the outputs. Optional.
        use_bias: Whether to add a bias.
        kernel_initializer: Defaults to a normal distribution of variance 1, as in the paper.
        local_learning_rate: As in `AdderConv2D`.
        **kwargs: Other arguments of `keras.layers.Dense`: regularizers, constraints, name, dtype...

    Raises:
        ValueError: If an argument is not valid.

    Input shape:
        `(batch, ..., channels)`.

    Output shape:
        `(batch, ..., units)`.

    Example:

    >>> import numpy as np
    >>> layer = AdderDense(2, kernel_initializer="zeros")
    >>> layer(np.array([[1.0, -3.0]], "float32")).numpy().tolist()
    [[-4.0, -4.0]]

    Reference:
        Chen et al. 2020, arXiv 1912.13200.
    """

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer=None,
        local_learning_rate=LEARNING_RATE,
        **kwargs,
    ):
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=standard_normal(kernel_initializer),
            local_learning_rate=local_learning_rate,
            **kwargs,
        )

    def call(self, inputs, training=None):
        """Returns minus the L1 distances to the units' weights, plus bias, through the activation."""
        channels = inputs.shape[-1]
        pixels = ops.reshape(inputs, (-1, 1, 1, channels))
        outputs = self.distances(pixels, ops.reshape(self.kernel, (1, 1, channels, self.units)))
        return self.finish(ops.reshape(outputs, (*ops.shape(inputs)[:-1], self.units)))

"""Rounding activations between layers."""

import keras

from keras_slim.layers.quantized import INPUTS, Quantized


@keras.saving.register_keras_serializable("keras_slim")
class Quantize(Quantized, keras.layers.Layer):
    """Rounds activations to few values, and learns by it.

    Behind a layer whose outputs are to be rounded; `input_quantizer` of the layers that read them does the same.

    Args:
        quantizer: `"int"`, `"learned_step"`, `"sign"`, or one of `keras_slim.quantizers`.
        axis: The axis of the channels, for which a quantizer may have scales of their own.
        **kwargs: As for every layer.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Call arguments:
        inputs: Tensor of any shape, samples along its first axis.

    Returns:
        Tensor of the same shape.

    Example:

    >>> layer = Quantize("sign")
    >>> layer(keras.ops.array([[-0.5, 0.5]])).numpy().tolist()
    [[-1.0, 1.0]]
    """

    weight_axes = {}
    of_weights = None
    of_inputs = "quantizer"

    def __init__(self, quantizer="int", axis=-1, **kwargs):
        if quantizer is None:
            quantizer = ""  # there is no layer for that
        super().__init__(quantizer=quantizer, **kwargs)
        self.axis = axis
        self.supports_masking = True

    @property
    def channel_axis(self):
        """The axis of the channels."""
        return self.axis

    def call(self, inputs, training=None):
        """Returns the rounded inputs."""
        return self.rounded(INPUTS, inputs, training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}

"""A table of rounded vectors that integers pick from."""

import keras
from keras import ops

from keras_slim.layers.quantized import Quantized


@keras.saving.register_keras_serializable("keras_slim")
class QuantEmbedding(Quantized, keras.layers.Embedding):
    """Turns integers into rounded vectors, and learns by it.

    As `QuantConv2D`. The channels for which a quantizer may have scales of their own are the columns of the table; the
    whole table is rounded at every call. A drop-in for `keras.layers.Embedding`.

    Args:
        *args: Arguments of `keras.layers.Embedding`, in its order.
        embeddings_quantizer: Quantizer of the table, as the `kernel_quantizer` of `QuantConv2D`. Optional.
        **kwargs: Other arguments of `keras.layers.Embedding`.

    Raises:
        TypeError, ValueError: If an argument is not valid.

    Input shape, output shape:
        Those of `keras.layers.Embedding`.

    Example:

    >>> import numpy as np
    >>> layer = QuantEmbedding(1, 3, embeddings_quantizer="sign", weights=np.array([[0.1, -0.2, 0.3]]))
    >>> layer(np.array([0])).numpy().tolist()
    [[1.0, -1.0, 1.0]]
    """

    weight_axes = {"embeddings": (-1,)}
    constraints = ("embeddings_constraint",)
    of_weights = "embeddings_quantizer"
    of_inputs = None

    def call(self, inputs, training=None):
        """Returns the rounded vectors."""
        if inputs.dtype not in ("int32", "int64"):
            inputs = ops.cast(inputs, "int32")
        table = self.rounded("embeddings", self.embeddings, training)
        return ops.cast(ops.take(table, inputs, axis=0), self.compute_dtype)

    def compute_output_spec(self, inputs, training=None):
        return super().compute_output_spec(inputs)

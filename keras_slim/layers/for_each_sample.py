"""A value that is the same for every sample."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_slim")
class ForEachSample(keras.layers.Layer):
    """Puts out a value for each sample, such as a token at the start of sequences.

    Args:
        shape: Shape of one sample of what it puts out, to which the value is broadcast.
        **kwargs: As for every layer.

    Call arguments:
        inputs: The value, and a tensor of the batch, of which only the number of samples counts.

    Returns:
        Tensor of shape `(batch, *shape)`, of the type of the value.

    Example:

    >>> ForEachSample((1, 4))((keras.ops.ones((1, 1, 4)), keras.ops.ones((3, 8)))).shape
    TensorShape([3, 1, 4])
    """

    def __init__(self, shape, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.shape = tuple(shape)

    def call(self, inputs):
        value, batch = inputs
        return ops.broadcast_to(value, (ops.shape(batch)[0], *self.shape))

    def compute_output_spec(self, inputs):
        value, batch = inputs
        return keras.KerasTensor((batch.shape[0], *self.shape), value.dtype)

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}

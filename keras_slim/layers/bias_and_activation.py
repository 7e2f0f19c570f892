"""What is the same behind every sum or distance: the bias along the channels, and the activation."""

from keras import ops


def with_bias_and_activation(layer, outputs, channel_axis=-1):
    """Returns the outputs of a layer after its bias and its activation.

    Args:
        layer: The layer.
        outputs: Tensor of what it sums.
        channel_axis: The axis along which it has a bias.
    """
    if layer.use_bias:
        shape = [1] * len(outputs.shape)
        shape[channel_axis] = -1
        # `ops.add` of Keras 3.15 takes the bias for one along the last axis, where that is as long (TensorFlow).
        outputs = outputs + ops.reshape(layer.bias, shape)
    return outputs if layer.activation is None else layer.activation(outputs)

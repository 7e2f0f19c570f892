"""What is the same behind every sum or distance: the bias along the channels, and the activation."""

from keras import ops


def with_bias_and_activation(layer, outputs, channel_axis=-1):
    """Returns the outputs of a layer after its bias and its activation; see `with_bias`."""
    outputs = with_bias(layer, outputs, channel_axis)
    return outputs if layer.activation is None else layer.activation(outputs)


def with_bias(layer, outputs, channel_axis=-1):
    """Returns the outputs of a layer after its bias, if it has one.

    Args:
        layer: The layer.
        outputs: Tensor of what it sums.
        channel_axis: The axis along which it has a bias.
    """
    if not layer.use_bias:
        return outputs
    shape = [1] * len(outputs.shape)
    shape[channel_axis] = -1
    # `ops.add` of Keras 3.15 takes the bias for one along the last axis, where that is as long (TensorFlow).
    return outputs + ops.reshape(layer.bias, shape)

"""Flatten, and reshaping to a vector."""

import keras

from keras_slim.graph.registry import register_rule


@register_rule(keras.layers.Flatten)
def flatten(call):
    """Each unit is found again at every position it had; channels first, Keras transposes before it flattens."""
    inputs = call.inputs[0]
    if call.layer.data_format == "channels_first" and len(inputs.shape) > 2:
        inputs = channels_last(inputs)
    units = inputs.flat()
    if units is None:
        return call.keep_inputs_whole("the flattened size is not known")
    return call.output({1: units})


def channels_last(channels):
    """Returns the channels of a tensor after its axis 1 is moved to the end."""
    order = [0, *range(2, len(channels.shape)), 1]
    return type(channels)(
        tuple(channels.shape[axis] for axis in order),
        {order.index(axis): atoms for axis, atoms in channels.axes.items()},
    )


@register_rule(keras.layers.Reshape)
def reshape(call):
    """Reshaping to a vector flattens; any other shape stays whole."""
    units = call.inputs[0].flat()
    if len(call.output_shapes[0]) != 2 or units is None:
        return call.keep_inputs_whole("only a reshape to a vector of known size has a rule yet")
    if call.layer.target_shape != (-1,):
        call.resize("target_shape", units, index=0)
    return call.output({1: units})

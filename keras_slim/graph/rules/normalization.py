"""Normalisation: of each channel alone, over groups of channels, or over all of them."""

import keras
import numpy as np

from keras_slim.graph.registry import register_rule


@register_rule(keras.layers.BatchNormalization)
def batch_normalization(call):
    """Scale, shift and moving statistics follow the units of the normalised axis."""
    layer, (inputs,) = call.layer, call.inputs
    units = inputs.along(layer.axis)
    for variable in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
        call.weight(variable, follows={0: units})
    return call.unchanged()


@register_rule(keras.layers.LayerNormalization)
def layer_normalization(call):
    """Scale and shift follow the units; the statistics are taken over those that are there."""
    return _over_channels(call, call.layer.gamma, call.layer.beta)


@register_rule(keras.layers.RMSNormalization)
def rms_normalization(call):
    """The scale follows the units; the mean square is taken over those that are there."""
    return _over_channels(call, call.layer.scale)


@register_rule(keras.layers.UnitNormalization)
def unit_normalization(call):
    """The norm is taken over the units that are there."""
    return _over_channels(call)


def _over_channels(call, *variables):
    inputs = call.inputs[0]
    axes = [call.layer.axis] if isinstance(call.layer.axis, int) else list(call.layer.axis)
    for position, axis in enumerate(axes):
        call.statistics(axis % len(inputs.shape), inputs.along(axis))
        for variable in variables:
            call.weight(variable, follows={position: inputs.along(axis)})
    return call.unchanged()


@register_rule(keras.layers.GroupNormalization)
def group_normalization(call):
    """A group of channels is normalised together, so it is one unit and stays or goes whole."""
    layer, units = call.layer, call.inputs[0].along(call.layer.axis)
    groups = units.reshape(layer.groups, -1)
    for channels in groups:
        call.tie_all(channels)
    for variable in (layer.gamma, layer.beta):
        call.weight(variable, follows={0: units})
    call.resize("groups", groups[:, 0])
    return call.unchanged()


@register_rule(keras.layers.Normalization)
def normalization(call):
    """Its statistics were learned from data with all channels: it only passes on what has no unit."""
    if call.inputs[0].axes:
        return call.keep_inputs_whole("its statistics were adapted to all channels")
    return call.unchanged()


@register_rule(keras.layers.Rescaling)
def rescaling(call):
    """One factor for all channels changes nothing; one for each runs along the axes that it meets, from the last."""
    inputs, rank = call.inputs[0], len(call.inputs[0].shape)
    for name in ("scale", "offset"):
        value = getattr(call.layer, name)
        shape = np.shape(value)
        if shape and keras.config.image_data_format() == "channels_first":
            call.keep_whole(inputs, "Keras takes a factor per channel for another axis where channels come first")
            continue
        entry = (name, "config", "value") if isinstance(value, np.ndarray) else name
        for axis, size in enumerate(shape):
            met = axis + rank - len(shape)
            if size == inputs.shape[met] and size > 1:
                call.array(entry, axis, inputs.along(met))
            elif size > 1:
                call.keep_whole(inputs.along(met), "it meets an axis of unknown size")
    return call.unchanged()


@register_rule("LayerScale")
def layer_scale(call):
    """A learned factor per channel (ConvNeXt) follows its unit."""
    units = call.inputs[0].along(-1)
    call.weight(call.layer.gamma, follows={0: units})
    call.resize("projection_dim", units)
    return call.unchanged()

"""Adder layers: what they read is no weighted sum, so no unit can stand in for another, and a zero is not nothing."""

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.convolution import channel_axis, convolution, finish, tied_groups
from keras_slim.graph.rules.elementwise import own_activation
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense


@register_rule(AdderConv1D, AdderConv2D)
def adder_convolution(call):
    """A unit is a filter; distances are taken over the channels that are there.

    With groups, as for other convolutions.
    """
    layer, axis = call.layer, channel_axis(call.layer)
    atoms = call.inputs[0].along(axis)
    groups, per_group = layer.groups, len(atoms) // layer.groups
    if groups > 1 and per_group == 1:
        return convolution(call)
    units = call.new_units(layer.filters)
    call.statistics(axis % len(call.inputs[0].shape), atoms)
    call.weight(layer.kernel, measures={-2: tied_groups(call, atoms, groups)[:per_group]}, produces={-1: units})
    _made_up_for(call, -2, atoms, axis)
    call.resize("filters", tied_groups(call, units, groups))
    return finish(call, units)


@register_rule(AdderDense)
def adder_dense(call):
    """A unit is a column of the kernel; distances are taken over the channels that are there."""
    layer, (inputs,) = call.layer, call.inputs
    last = len(inputs.shape) - 1
    units = call.new_units(layer.units)
    call.statistics(last, inputs.along(-1))
    call.weight(layer.kernel, measures={0: inputs.along(-1)}, produces={1: units})
    _made_up_for(call, 0, inputs.along(-1), last)
    call.weight(layer.bias, follows={0: units})
    call.resize("units", units)
    own_activation(call, units)
    leading = {axis: atoms for axis, atoms in inputs.axes.items() if axis != last}
    return call.output({**leading, last: units})


def _made_up_for(call, axis, atoms, output_axis):
    """States what the layer puts out, if that is the distances themselves."""
    if call.layer.activation in (None, keras.activations.linear):
        call.distance(call.layer.kernel, axis, atoms, call.layer.bias, output_axis=output_axis)

"""Dense layers, and those whose kernel a hash lays out."""

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.elementwise import own_activation
from keras_slim.layers import HashedDense


@register_rule(keras.layers.Dense)
def dense(call):
    """A unit is a column of the kernel; all leading axes are handed on."""
    layer, (inputs,) = call.layer, call.inputs
    last = len(inputs.shape) - 1
    units = call.new_units(layer.units)
    call.weight(layer.kernel, consumes={0: inputs.along(-1)}, produces={1: units})
    call.linear(layer.kernel, 0, inputs.along(-1), layer.bias, output_axis=last)
    call.weight(layer.bias, follows={0: units})
    call.resize("units", units)
    own_activation(call, units)
    leading = {axis: atoms for axis, atoms in inputs.axes.items() if axis != last}
    return call.output({**leading, last: units})


@register_rule(HashedDense)
def hashed_dense(call):
    """A place is hashed by its row and column, so none can be left out."""
    return call.keep_inputs_whole("a hash of rows and columns lays out its kernel; `keras_slim.dehash` makes it plain")

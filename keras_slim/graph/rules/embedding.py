"""Tables of vectors that integers pick from."""

import keras

from keras_slim.graph.registry import register_rule


@register_rule(keras.layers.Embedding)
def embedding(call):
    """A unit is a column of the table; the axes of the integers are handed on."""
    layer, (inputs,) = call.layer, call.inputs
    units = call.new_units(layer.output_dim)
    call.weight(layer.embeddings, produces={1: units})
    call.resize("output_dim", units)
    return call.output({**inputs.axes, -1: units})

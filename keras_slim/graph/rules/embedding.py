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


@register_rule(keras.layers.ReversibleEmbedding)
def reversible_embedding(call):
    """A unit is a column of the table; read backwards, the table sums over its columns."""
    layer, (inputs,) = call.layer, call.inputs
    units = call.new_units(layer.output_dim)
    call.weight(layer.embeddings, produces={1: units})
    call.resize("output_dim", units)
    if not layer.tie_weights:
        call.weight(layer.reverse_embeddings, consumes={0: units})
    if not call.argument("reverse", 1):
        return call.output({**inputs.axes, -1: units})
    last = len(inputs.shape) - 1
    call.tie(units, inputs.along(-1))
    if layer.tie_weights:
        call.statistics(last, units)
    return call.output({axis: atoms for axis, atoms in inputs.axes.items() if axis != last})

"""Attention, with and without weights, and products of tensors."""

import math

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE
from keras_slim.graph.registry import register_rule

POSITIONS = "its units lie along positions that the layer mixes"
MASKS = ("query_mask", "value_mask", "key_mask", "attention_mask")
PRODUCT = "the channels are multiplied with others and summed, so that no weight could silence a unit"


@register_rule(keras.layers.MultiHeadAttention)
def multi_head_attention(call):
    """Units are whole heads, the widths of all heads (`key` and `value`), and what the layer puts out."""
    layer, (query, value, key) = call.layer, _attended(call)
    _keep_other_axes_whole(call, query, value, key)
    heads = call.new_units(layer.num_heads, part="heads")
    keys = call.new_units(layer.key_dim, part="key")
    values = call.new_units(layer.value_dim, part="value")
    units = call.new_units(call.output_shapes[0][-1])
    _projections(call, (query, value, key), (heads, heads), (keys, values), units)
    call.resize("num_heads", heads)
    call.resize("key_dim", keys)
    call.resize("value_dim", values)
    # Without an output shape, Keras takes the width of the query, which may be cut differently.
    output_shape = layer.get_config()["output_shape"]
    call.resize("output_shape", units, index=len(output_shape) - 1 if output_shape else None)
    return _outputs(call, heads, units, num_attention_axes=len(layer.attention_axes))


@register_rule(keras.layers.GroupQueryAttention)
def grouped_query_attention(call):
    """Units are the heads of keys and values, each with all its query heads, and the width of all heads.

    Keras makes the output as wide as the query and the value, so they are tied.
    """
    layer, (query, value, key) = call.layer, _attended(call)
    _keep_other_axes_whole(call, query, value, key)
    heads = call.new_units(layer.num_key_value_heads, part="heads")
    query_heads = np.repeat(heads, layer.num_query_heads // layer.num_key_value_heads)
    widths = call.new_units(layer.head_dim, part="head")
    units = call.new_units(call.output_shapes[0][-1])
    call.tie(units, query.along(-1))
    call.tie(units, value.along(-1))
    _projections(call, (query, value, key), (query_heads, heads), (widths, widths), units)
    call.resize("num_query_heads", query_heads)
    call.resize("num_key_value_heads", heads)
    call.resize("head_dim", widths)
    return _outputs(call, query_heads, units, num_attention_axes=1)


def _attended(call):
    """Returns the channels of the query, the value and the key."""
    query, value = call.argument("query", 0), call.argument("value", 1)
    key = call.argument("key", 2)
    return [call.channels_of(tensor) for tensor in (query, value, value if key is None else key)]


def _projections(call, inputs, heads, widths, units):
    """States what runs along the weights of multi-head attention.

    A unit of the key's width is silent when the key's kernel is zero there: its bias adds the same to all scores of
    a query, which the softmax takes out again.

    Args:
        call: The call.
        inputs: Channels of the query, the value and the key.
        heads: Atoms of the heads of queries, and of those of keys and values.
        widths: Atoms of the width of keys, and of that of values.
        units: Atoms of the output's last axis.
    """
    (query, value, key), (query_heads, heads), (keys, values) = inputs, heads, widths
    weights = {tuple(weight.path.split("/")[-2:]): weight for weight in call.layer.weights}
    tensors = {name: call.argument(name, place) for place, name in enumerate(("query", "value", "key"))}
    tensors = {
        **tensors,
        "gate": tensors["query"],
        "key": tensors["key"] if tensors["key"] is not None else tensors["value"],
    }
    for name, given, its_heads, width in (
        ("query", query, query_heads, keys),
        ("key", key, heads, keys),
        ("value", value, heads, values),
        ("gate", query, query_heads, values),
    ):
        kernel, bias = weights.get((name, "kernel")), weights.get((name, "bias"))
        call.weight(kernel, consumes={0: given.along(-1)}, produces={1: its_heads})
        call.weight(kernel, **{"consumes" if name == "key" else "produces": {2: width}})
        call.weight(bias, follows={0: its_heads, 1: width})
        if kernel is not None:
            call.linear(kernel, 0, given.along(-1), bias, tensor=tensors[name])
    call.rescale(weights["query", "kernel"], keys, _scale_of_scores)
    call.rescale(weights.get(("query", "bias")), keys, _scale_of_scores)
    call.weight(weights["attention_output", "kernel"], consumes={0: query_heads, 1: values}, produces={-1: units})
    call.weight(weights.get(("attention_output", "bias")), follows={-1: units})
    _remember(call, inputs, query_heads, values, weights)


def _remember(call, inputs, heads, values, weights):
    """States that self-attention sums over what its heads put out, in all their width."""
    query, value, key = inputs
    masks = [call.argument(name, place) for place, name in enumerate(MASKS, start=3)]
    is_plain = all(mask is None for mask in masks) and ("gate", "kernel") not in weights
    if query is value is key and len(query.shape) == 3 and is_plain:
        attended = _attended_by_head(call.layer, call.argument("use_causal_mask", 9), weights)
        for axis, atoms in enumerate((heads, values)):
            kernel = weights["attention_output", "kernel"]
            call.remembered(kernel, axis, atoms, query, attended, axis + 2)


def _attended_by_head(layer, is_causal, weights):
    """Returns the function from a sequence to what heads see of it, `(batch, positions, heads, width)`."""

    # Keras's attention takes the mask from the very tensor that it is given, which others read too.
    copied = keras.layers.Activation(lambda values: values * 1, name="copied", autocast=False)

    def attended(sequence):
        sequence = copied(sequence)
        options = {"return_attention_scores": True, "use_causal_mask": bool(is_causal)}
        _, scores = layer(sequence, sequence, **options)
        kernel, bias = (weights.get(("value", name)) for name in ("kernel", "bias"))
        sequence = keras.ops.cast(sequence, scores.dtype)
        values = keras.ops.einsum("bse,ehv->bhsv", sequence, keras.ops.cast(kernel, scores.dtype))
        if bias is not None:
            values = values + keras.ops.expand_dims(keras.ops.cast(bias, scores.dtype), 1)
        values = keras.ops.repeat(values, scores.shape[1] // values.shape[1], axis=1)
        return keras.ops.einsum("bhts,bhsv->bthv", scores, values)

    return attended


def _scale_of_scores(width):
    """Returns what scores are multiplied by; Keras rounds it to float32, whatever the layer computes in."""
    return float(np.float32(1 / math.sqrt(width)))


def _outputs(call, heads, units, num_attention_axes):
    """Returns the channels of the output, and of the scores if they are returned."""
    mask = call.argument("attention_mask", 6)
    axis_of_heads = -2 * num_attention_axes - 1
    if mask is not None and len(mask.shape) > -axis_of_heads and mask.shape[axis_of_heads] != 1:
        call.keep_whole(heads, "each head has a mask of its own")
    output = call.output({-1: units})
    return [output, *(call.output({axis_of_heads: heads}, 1) for _ in call.output_shapes[1:])]


@register_rule(keras.layers.Attention)
def attention(call):
    """The units of the value are handed on; those of query and key are tied, since they are multiplied and summed."""
    query, value, key = _listed(call)
    _keep_other_axes_whole(call, query, value, key)
    summed = query.along(-1), key.along(-1)
    if call.layer.score_mode == "dot" and all((atoms != WHOLE).any() for atoms in summed):
        call.tie(*summed)
        call.statistics(len(query.shape) - 1, summed[0])
    else:
        for atoms in summed:
            call.keep_whole(atoms, PRODUCT)
        call.statistics(len(query.shape) - 1, np.full(len(summed[0]), WHOLE))
    return _attention_outputs(call, value)


@register_rule(keras.layers.AdditiveAttention)
def additive_attention(call):
    """The units of the value are handed on; those of query and key are tied, and read by the scale."""
    query, value, key = _listed(call)
    _keep_other_axes_whole(call, query, value, key)
    call.tie(query.along(-1), key.along(-1))
    call.weight(call.layer.scale, consumes={0: query.along(-1)})
    if call.layer.scale is None:
        call.keep_whole(query.along(-1), PRODUCT)
    return _attention_outputs(call, value)


def _listed(call):
    """Returns the channels of query, value and key, of which the last may be left out of the list."""
    query, value, *key = (call.channels_of(tensor) for tensor in call.argument("inputs", 0))
    return query, value, key[0] if key else value


def _attention_outputs(call, value):
    """Returns the channels of the output, and of the scores if they are returned."""
    output = call.output({-1: value.along(-1)})
    return [output, *(call.output({}, 1) for _ in call.output_shapes[1:])]


def _keep_other_axes_whole(call, *attended):
    """Keeps whole what runs along any axis but the last of what is attended, or along a mask."""
    for channels in call.inputs:
        last = len(channels.shape) - 1 if channels in attended else None
        for axis, atoms in channels.axes.items():
            if axis != last:
                call.keep_whole(atoms, POSITIONS)


@register_rule("ops.DotProductAttention")
def dot_product_attention(call):
    """Heads go together, and widths where a scale is given, since Keras scales by the width else; masks stay."""
    names = enumerate(("query", "key", "value"))
    query, key, value = given = [call.channels_of(call.argument(name, place)) for place, name in names]
    for channels in call.inputs:
        is_given = any(channels is each for each in given)
        for axis, atoms in channels.axes.items():
            if not is_given or axis < 2:
                call.keep_whole(atoms, POSITIONS)
    for axis in (2, 3):
        for each in (key, value):
            if len(each.along(axis)) == len(query.along(axis)):
                call.tie(query.along(axis), each.along(axis))
            else:
                call.keep_whole(query.along(axis), "several heads share a key")
                call.keep_whole(each.along(axis), "several heads share a key")
    if call.argument("scale", 5) is None:
        call.keep_whole(query.along(3), "the scores are scaled by the width of the heads")
    call.statistics(3, query.along(3))
    return call.output({2: query.along(2), 3: query.along(3)})

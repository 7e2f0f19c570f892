"""Attention: projections with kernels, and products of queries, keys and values, which have no weights."""

from keras import layers

from keras_slim.profiling.arguments import argument
from keras_slim.profiling.sizes import positions, size
from keras_slim.profiling.work import Work, register_work


@register_work(layers.MultiHeadAttention)
def multi_head_attention(layer, call):
    query, value = argument(call, "query", 0).shape, argument(call, "value", 1).shape
    pairs = positions(query) * size(value, layer.attention_axes)
    products = pairs * layer.num_heads * (layer.key_dim + layer.value_dim)
    return [*_projections(layer, positions(query), positions(value)), Work(products)]


@register_work(layers.GroupQueryAttention)
def grouped_query_attention(layer, call):
    query, value = argument(call, "query", 0).shape, argument(call, "value", 1).shape
    products = positions(query) * positions(value) * layer.num_query_heads * 2 * layer.head_dim
    return [*_projections(layer, positions(query), positions(value)), Work(products)]


@register_work(layers.Attention, layers.AdditiveAttention)
def attention(layer, call):
    """The tensors are a query, a value and, where it differs from the value, a key."""
    query, value, *key = call.args[0]
    pairs = positions(query.shape) * positions(value.shape)
    width = (key[0] if key else value).shape[-1] + value.shape[-1]
    return [Work(pairs * width)]


@register_work("DotProductAttention")
def dot_product_attention(operation, call):
    """The tensors have a batch, a length, heads and a width."""
    query, key = argument(call, "query", 0).shape, argument(call, "key", 1).shape
    value = argument(call, "value", 2).shape
    pairs = size(query, axes=[1, 2]) * size(key, axes=[1])
    return [Work(pairs * (key[-1] + value[-1]))]


def _projections(layer, queries, values):
    """Returns the work of the projections, known by the last folder of their weights' paths."""
    uses = {"query": queries, "gate": queries, "key": values, "value": values, "attention_output": queries}
    owners = [(weight, weight.path.split("/")[-2]) for weight in layer.weights]
    return [
        Work(uses[owner] if weight.name == "kernel" else 0, weight)
        for weight, owner in owners
        if owner in uses and weight.name in ("kernel", "bias")
    ]

"""Attention: projections with kernels, and products of queries, keys and values, which have no weights."""

from keras import layers

from keras_slim.layers import MaskedAttention
from keras_slim.profiling.arguments import argument
from keras_slim.profiling.sizes import positions, size
from keras_slim.profiling.work import Work, register_work


@register_work(layers.MultiHeadAttention)
def multi_head_attention(layer, call):
    query, value = argument(call, "query", 0).shape, argument(call, "value", 1).shape
    pairs = positions(query) * size(value, layer.attention_axes)
    return [*_projections(layer, positions(query), positions(value)), *_products(layer, pairs, ("query", "value"))]


@register_work(layers.GroupQueryAttention)
def grouped_query_attention(layer, call):
    query, value = argument(call, "query", 0).shape, argument(call, "value", 1).shape
    pairs = positions(query) * positions(value)
    return [*_projections(layer, positions(query), positions(value)), *_products(layer, pairs, ("query", "query"))]


@register_work(layers.Attention, layers.AdditiveAttention, MaskedAttention)
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
    """Returns the work of the projections."""
    uses = {"query": queries, "gate": queries, "key": values, "value": values, "attention_output": queries}
    return [
        Work(uses[owner] if name == "kernel" else 0, weight)
        for (owner, name), weight in _weights(layer).items()
        if owner in uses and name in ("kernel", "bias")
    ]


def _products(layer, pairs, projections):
    """Returns the work of scores and of weighted sums: in each head, pairs of vectors as wide as a projection."""
    kernels = [_weights(layer)[owner, "kernel"] for owner in projections]
    return [Work(pairs, widths=((kernel, 1), (kernel, 2))) for kernel in kernels]


def _weights(layer):
    """Returns the weights by the last two parts of their paths: the projection, and which of its weights it is."""
    return {tuple(weight.path.split("/")[-2:]): weight for weight in layer.weights}

"""Dense layers: each element of a kernel is used once per position the layer is applied at."""

from keras import layers

from keras_slim.layers import HashedDense, MaskedReversibleEmbedding
from keras_slim.profiling.einsum import einsum_products
from keras_slim.profiling.sizes import positions, size
from keras_slim.profiling.work import Work, register_work, weight_work


@register_work(layers.Dense)
def dense(layer, call):
    return weight_work(layer, {"kernel": positions(call.inputs[0].shape)})


@register_work(HashedDense)
def hashed_dense(layer, call):
    """The places of the kernel are used as those of a dense layer, however few numbers fill them."""
    return [Work(size(call.inputs[0].shape) * layer.units)]


@register_work(layers.EinsumDense)
def einsum_dense(layer, call):
    """The positions are all dimensions of the input that the kernel does not have."""
    kernel_labels = layer.equation.split("->")[0].split(",")[1]
    uses = einsum_products(layer.equation, [call.inputs[0].shape], without=kernel_labels)
    return weight_work(layer, {"kernel": uses, "bias": 0})


@register_work(layers.ReversibleEmbedding, MaskedReversibleEmbedding)
def reversible_embedding(layer, call):
    """Backwards, the table is a kernel, or has one beside it."""
    is_reverse = call.kwargs.get("reverse", call.args[1] if len(call.args) > 1 else False)
    uses = positions(call.inputs[0].shape) if is_reverse else 0
    return weight_work(layer, {"embeddings": uses * layer.tie_weights, "reverse_embeddings": uses})

"""Products of tensors that have no weights, as layers and as operations of `keras.ops`."""

from keras import layers

from keras_slim.profiling.arguments import argument
from keras_slim.profiling.einsum import einsum_products
from keras_slim.profiling.sizes import size
from keras_slim.profiling.work import Work, register_work


@register_work(layers.Dot)
def dot(layer, call):
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return [Work(size(call.outputs[0].shape) * size(call.inputs[0].shape, axes=[axis]))]


@register_work("Matmul", "Dot", "Inner")
def matmul(operation, call):
    """Each contracts the last axis of its first operand."""
    return [Work(size(call.outputs[0].shape) * size(argument(call, "x1", 0).shape, axes=[-1]))]


@register_work("Einsum")
def einsum(operation, call):
    batched = next(place for place, operand in enumerate(call.args) if operand is call.inputs[0])
    return [Work(einsum_products(operation.subscripts, [operand.shape for operand in call.args], batched=batched))]

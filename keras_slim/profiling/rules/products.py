"""Products of tensors that have no weights, as layers and as operations of `keras.ops`."""

import dataclasses

import keras
from keras import layers

from keras_slim.profiling.arguments import argument
from keras_slim.profiling.einsum import einsum_products
from keras_slim.profiling.sizes import size
from keras_slim.profiling.work import Work, register_work, work_of


@register_work(layers.Dot)
def dot(layer, call):
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return [Work(size(call.outputs[0].shape) * size(call.inputs[0].shape, axes=[axis]))]


@register_work("Matmul", "Dot", "Inner")
def matmul(operation, call):
    """Each contracts the last axis of its first operand; a constant keeps its shape in a call after a cut."""
    first, second = argument(call, "x1", 0), argument(call, "x2", 1)
    if isinstance(first, keras.KerasTensor):
        return [Work(size(call.outputs[0].shape) * size(first.shape, axes=[-1]))]
    axis = -1 if type(operation).__name__ == "Inner" or len(second.shape) == 1 else -2
    return [Work(size(call.outputs[0].shape) * size(second.shape, axes=[axis]))]


@register_work("Einsum")
def einsum(operation, call):
    """The sizes are those of tensors; a constant keeps its shape in a call after a cut."""
    inputs, arrow, output = operation.subscripts.replace(" ", "").partition("->")
    terms = sorted(zip(inputs.split(","), call.args, strict=True), key=lambda term: term[1] is not call.inputs[0])
    terms = sorted(terms, key=lambda term: not isinstance(term[1], keras.KerasTensor))
    equation = ",".join(term for term, _ in terms) + arrow + output
    return [Work(einsum_products(equation, [operand.shape for _, operand in terms]))]


@register_work("MaskedOperation", "SilencedOperation", "SpreadOperation")
def masked(operation, call):
    """At full size, as all that is masked."""
    return work_of(dataclasses.replace(call, operation=operation.operation))

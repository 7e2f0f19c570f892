"""Products of tensors that have no weights, as layers and as operations of `keras.ops`."""

import dataclasses
import string

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
    inputs = operation.subscripts.replace(" ", "").partition("->")[0]
    return _products(call, inputs.split(","), call.args)


@register_work("Tensordot")
def tensordot(operation, call):
    """An einsum whose letters are shared where axes are summed over."""
    operands = argument(call, "x1", 0), argument(call, "x2", 1)
    rank, letters = len(operands[0].shape), list(string.ascii_letters)
    first, second = letters[:rank], letters[rank : rank + len(operands[1].shape)]
    axes = operation.axes
    if isinstance(axes, int):
        axes = range(rank - axes, rank), range(axes)
    for one, other in zip(*axes, strict=True):
        second[other] = first[one]
    return _products(call, ["".join(first), "".join(second)], operands)


def _products(call, terms, operands):
    """Returns the work of an einsum; the operand that is the first input comes first, as it has the batch."""
    terms = sorted(zip(terms, operands, strict=True), key=lambda term: term[1] is not call.inputs[0])
    terms = sorted(terms, key=lambda term: not isinstance(term[1], keras.KerasTensor))
    equation = ",".join(term for term, _ in terms)
    return [Work(einsum_products(equation, [operand.shape for _, operand in terms]))]


@register_work("MaskedOperation", "SilencedOperation", "SpreadOperation")
def masked(operation, call):
    """At full size, as all that is masked."""
    return work_of(dataclasses.replace(call, operation=operation.operation))

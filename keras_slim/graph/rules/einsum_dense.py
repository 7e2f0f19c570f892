"""Dense layers that are written as an einsum equation."""

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.elementwise import own_activation


@register_rule(keras.layers.EinsumDense)
def einsum_dense(call):
    """A unit is a position along a label that is new in the kernel; what the output lacks is consumed, the rest stays.

    In `"abc,cde->abde"`, `d` and `e` are units of the layer, `c` is consumed, and `a` and `b` are handed on.
    """
    layer, (inputs,), (shape, *_) = call.layer, call.inputs, call.output_shapes
    operands, result = layer.equation.split("->")
    given, kernel = operands.split(",")
    given, outcome = axis_labels(given, len(inputs.shape)), axis_labels(result, len(shape))
    atoms = {label: inputs.along(axis) for axis, label in enumerate(given)}
    new = [label for label in kernel if label not in atoms]
    for label in new:
        size = shape[outcome.index(label)]
        atoms[label] = call.new_units(size, part="output" if len(new) == 1 else label)

    def along(labels):
        return {axis: atoms[label] for axis, label in enumerate(kernel) if label in labels}

    call.weight(
        layer.kernel,
        produces=along(new),
        consumes=along(set(given) - set(outcome)),
        follows=along(set(given) & set(outcome)),
    )
    for label in (set(given) - set(outcome)) & set(kernel):
        has_all = layer.bias is not None and list(kernel.replace(label, "")) == [*layer.bias_axes]
        call.linear(layer.kernel, kernel.index(label), atoms[label], layer.bias if has_all else None)
    for label in set(given) - set(outcome) - set(kernel):
        call.keep_whole(atoms[label], "the layer sums over them without a weight")
    if layer.bias is not None:
        last = enumerate(reversed(outcome), start=1)
        call.weight(layer.bias, follows={-axis: atoms[label] for axis, label in last if str(label) in layer.bias_axes})
    _resize(call, result, atoms)
    known = {*new, *(given[axis] for axis in inputs.axes)}
    output = call.output({axis: atoms[label] for axis, label in enumerate(outcome) if label in known})
    for axis, units in output.axes.items():
        own_activation(call, units, axis)
    return output


def axis_labels(term, rank):
    """Returns the label of each axis; those of an ellipsis are numbered."""
    before, ellipsis, after = term.partition("...")
    hidden = range(rank - len(before) - len(after)) if ellipsis else ()
    return [*before, *hidden, *after]


def _resize(call, result, atoms):
    """Resizes `output_shape`, which leaves out the batch and the ellipsis; `None` in it is read off the input."""
    sizes, labels = call.layer.partial_output_shape, result.replace("...", "")
    for index, label in enumerate(labels[len(labels) - len(sizes) :]):  # the batch may be behind an empty ellipsis
        if sizes[index] == len(atoms[label]):
            call.resize("output_shape", atoms[label], index=index)

"""Products of tensors: which axes are summed over, and which are handed on."""

from collections import defaultdict

import keras

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.operands import broadcast, meet, operands, sum_over


@register_rule(keras.layers.Dot)
def dot_layer(call):
    """Sums over one axis of each, along which units are tied; the others are handed on, those of the first first."""
    axes = [call.layer.axes] * 2 if isinstance(call.layer.axes, int) else call.layer.axes
    given = [[0, *((side, axis) for axis in range(1, rank))] for side, rank in enumerate(_ranks(call))]
    for names, axis in zip(given, axes, strict=True):
        names[axis] = "summed"
    output = dict.fromkeys(name for names in given for name in names if name != "summed")
    return product(call, given, [*output])


@register_rule("ops.Matmul")
def matmul(call):
    """Rows of the first and columns of the second are handed on, batches go together."""
    ranks = _ranks(call)
    first, second = ((*_batch(rank - 2), *names) for rank, names in zip(ranks, ("mk", "kn"), strict=True))
    first, second = first[-ranks[0] :], second[: ranks[1]]  # a vector has no rows, or no columns
    output = [*_batch(max(*ranks, 2) - 2), *({"m"} & {*first}), *({"n"} & {*second})]
    return product(call, [first, second], output)


@register_rule("ops.Dot")
def dot(call):
    """Sums over the last axis of the first and the last but one of the second."""
    first, second = ([(side, axis) for axis in range(rank)] for side, rank in enumerate(_ranks(call)))
    return _contraction(call, first, second, first[-1:], second[-2:][:1])


@register_rule("ops.Inner")
def inner(call):
    """Sums over the last axis of both."""
    first, second = ([(side, axis) for axis in range(rank)] for side, rank in enumerate(_ranks(call)))
    return _contraction(call, first, second, first[-1:], second[-1:])


@register_rule("ops.Tensordot")
def tensordot(call):
    """Sums over pairs of axes."""
    first, second = ([(side, axis) for axis in range(rank)] for side, rank in enumerate(_ranks(call)))
    axes = call.layer.axes
    if isinstance(axes, int):
        axes = range(len(first) - axes, len(first)), range(axes)
    return _contraction(call, first, second, [first[axis] for axis in axes[0]], [second[axis] for axis in axes[1]])


@register_rule("ops.Einsum")
def einsum(call):
    """Letters that the output has are handed on, all others are summed over."""
    inputs, arrow, output = call.layer.subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        output = "..." * ("..." in inputs) + "".join(sorted(name for name in letters if letters.count(name) == 1))
    given = [_letters(term, rank) for term, rank in zip(terms, _ranks(call), strict=True)]
    return product(call, given, _letters(output, len(call.output_shapes[0])))


def _letters(term, rank):
    """Returns a name for each axis: its letter, or in place of the dots how far from their end it is."""
    before, dots, after = term.partition("...")
    return [*before, *_batch(rank - len(before) - len(after) if dots else 0), *after]


def _batch(count):
    """Returns names for axes that are aligned at their last."""
    return list(range(-count, 0))


def _ranks(call):
    return [len(each.channels.shape) for each in operands(call)]


def _contraction(call, first, second, summed, with_):
    """Returns the channels of a product whose output has all axes of both operands but the summed ones."""
    if not first or not second:
        return broadcast(call, operands(call))
    pairs = dict(zip(with_, summed, strict=True))
    second = [pairs.get(name, name) for name in second]
    return product(call, [first, second], [name for name in [*first, *second] if name not in summed])


def product(call, given, output):
    """Returns the channels of a product of operands, summed over all axes that the output does not have.

    Units that are summed over are tied.

    Args:
        call: The `LayerCall`.
        given: For each operand, the names of its axes; axes of the same name go together.
        output: The names of the output's axes.
    """
    if call.is_inside:  # how much work it is would not follow a cut
        return call.keep_inputs_whole("a product of tensors inside another layer")
    places = defaultdict(list)
    for operand, names in zip(operands(call), given, strict=True):
        for axis, name in enumerate(names):
            places[name].append((operand, axis))
    axes = {}
    for name in list(places):
        if name in output:
            axis = output.index(name)
            axes[axis] = meet(call, places[name], call.output_shapes[0][axis])
        else:
            sum_over(call, places[name])
    return call.output({axis: atoms for axis, atoms in axes.items() if atoms is not None})

"""How many products an einsum equation asks for."""

import math

from keras_slim.profiling.sizes import UnknownDimensionError


def einsum_products(equation, shapes, without="", batched=0) -> int:
    """Returns how many combinations of labels an equation has for one sample.

    Args:
        equation: Such as `"abc,cd->abd"`, with or without an ellipsis.
        shapes: Shapes of the first operands, or of all.
        without: Labels to leave out, such as those of a kernel. Optional.
        batched: Position of an operand whose first label is the batch.

    Returns:
        The product of the sizes of all other labels but the batch.

    Raises:
        UnknownDimensionError: If one of these sizes is `None`.

    Example:

    >>> einsum_products("bqd,bkd->bqk", [(None, 5, 8), (None, 7, 8)]) == 5 * 7 * 8
    True
    """
    terms = equation.replace(" ", "").split("->")[0].split(",")
    batch = _labels(terms[batched], len(shapes[batched]))[0]
    sizes = {}
    for term, shape in zip(terms, shapes, strict=False):
        for label, size in zip(_labels(term, len(shape)), shape, strict=True):
            if label != batch and str(label) not in without and sizes.get(label, 1) == 1:
                sizes[label] = size
    if None in sizes.values():
        raise UnknownDimensionError(", ".join(str(tuple(shape)) for shape in shapes))
    return math.prod(sizes.values())


def _labels(term, rank):
    """Returns a label for each of `rank` axes; those of an ellipsis are numbers that count from its right end."""
    before, ellipsis, after = term.partition("...")
    hidden = rank - len(before) - len(after) if ellipsis else 0
    return [*before, *range(-hidden, 0), *after]

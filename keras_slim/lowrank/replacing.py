"""Copies of models in which layers are products of smaller ones."""

import itertools

from keras_slim.graph.copying import copy_and_stacks
from keras_slim.rewriting.names import Names


def replaced(model, planned, found=None):
    """Returns a copy of a model in which layers are products.

    Args:
        model: A Functional or built Sequential model.
        planned: Dictionary from layers to `(kind, scheme, ranks)`.
        found: Dictionary from layers to `(Factors, offset)`, the offset `None` where it stays. Without it the products
            have fresh weights, which is enough to see what they cost.
    """
    names = Names(model)

    def in_place_of(operation, changes):
        if operation not in planned:
            return None
        kind, scheme, ranks = planned[operation]
        added = (names.unused(f"{operation.name}_factor_{number}") for number in itertools.count(1))
        return kind.stack(scheme, ranks, added, changes)

    copy, stacks = copy_and_stacks(model, in_place_of)
    for layer, (factors, offset) in (found or {}).items():
        kind, *_ = planned[layer]
        kind.fill(stacks[layer], factors, offset)
        if kind.is_mended_behind and offset is not None:
            stacks[kind.norm][0].moving_mean.assign(offset)
    return copy

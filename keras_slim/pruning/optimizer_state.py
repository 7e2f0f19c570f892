"""An optimizer for the smaller model whose state is the old one's, cut like the weights.

Keras has no public way to ask an optimizer which weights its decay leaves out, nor which slot belongs to which weight:
this file reads both (`Optimizer._use_weight_decay`, `Optimizer._trainable_variables`, and the lists of slots among the
optimizer's attributes). Checked on Keras 3.15.1; `tests/pruning/test_optimizer_state.py` runs every optimizer of Keras.
"""

import keras
from keras import ops

from keras_slim.errors import UnsupportedLayerError
from keras_slim.pruning.surgery import Transfer

NOT_SLOTS = {"_variables", "_trainable_variables"}


def cut_optimizer(optimizer, variables, transfers: list[Transfer]):
    """Returns an optimizer of the same config, built on new variables, with the old one's state.

    Momentum, Adam's moments, averages and accumulators are cut where their weight was cut; iteration count, learning
    rate and loss scale carry over. The old optimizer is not changed.

    Args:
        optimizer: The optimizer of the model that was cut.
        variables: Trainable variables of the smaller model.
        transfers: How the smaller model's variables came from the old ones.

    Returns:
        The new optimizer.

    Raises:
        UnsupportedLayerError: If the optimizer keeps state of which it cannot be said how it belongs to the weights.
    """
    fresh = type(optimizer).from_config(optimizer.get_config())
    if not optimizer.built:
        return fresh
    for old, new in zip(_with_inner(optimizer), _with_inner(fresh), strict=True):
        _exclude_from_weight_decay(old, new, transfers)
    fresh.build(variables)
    by_new = {id(transfer.new): transfer for transfer in transfers}
    old_of = {id(new): old for new, old in zip(fresh.variables, optimizer.variables, strict=True)}
    owner = {id(slot): by_new[id(variable)] for each in _with_inner(fresh) for slot, variable in _slots(each)}
    for new in fresh.variables:
        value = ops.convert_to_numpy(old_of[id(new)])
        if value.shape != tuple(new.shape):
            value = _cut(value, new, owner.get(id(new)), optimizer)
        new.assign(value)
    return fresh


def _with_inner(optimizer):
    """Returns an optimizer and those it wraps (loss scaling, several optimizers), in a fixed order."""
    found = [optimizer]
    for value in vars(optimizer).values():
        candidates = value if isinstance(value, list) else [value]
        found += [inner for inner in candidates if isinstance(inner, keras.optimizers.Optimizer)]
    return found


def _exclude_from_weight_decay(optimizer, fresh, transfers):
    """Excludes from decay the weights that the old optimizer excludes; its config does not tell them."""
    excluded = [transfer.new for transfer in transfers if not optimizer._use_weight_decay(transfer.old)]
    if excluded:
        fresh.exclude_from_weight_decay(var_list=excluded)


def _slots(optimizer):
    """Yields each slot with the weight it belongs to.

    Every Keras optimizer keeps its slots in lists with one entry per trainable variable, in their order.
    """
    variables = optimizer._trainable_variables
    for name, value in vars(optimizer).items():
        if isinstance(value, list) and len(value) == len(variables) and name not in NOT_SLOTS:
            yield from zip(value, variables, strict=True)


def _cut(value, new, transfer, optimizer):
    """Returns the part of a slot's value that belongs to what is left of its weight."""
    for axes in _axes(value.ndim, len(transfer.old.shape) if transfer else 0):
        if all(value.shape[i] == transfer.old.shape[axis] for i, axis in enumerate(axes)):
            cut = transfer.cut(value, axes)
            if cut.shape == tuple(new.shape):
                return cut
    raise UnsupportedLayerError(
        f"Optimizer {type(optimizer).__name__} keeps a state '{new.path}' of shape {value.shape}, and it cannot be "
        f"told which weight it belongs to; after the cut it has shape {tuple(new.shape)}. Expected lists with one "
        "entry per trainable weight, as Keras's own optimizers keep them. Use one of those."
    )


def _axes(rank, weight_rank):
    """Yields the ways in which a slot's axes can lie along a weight's, all of them first, then with one left out.

    Adafactor's factored moments leave out the last axis or the one before.
    """
    if rank == weight_rank:
        yield list(range(rank))
    elif rank == weight_rank - 1:
        yield list(range(rank))
        yield [*range(rank - 1), rank]

"""Cutting an optimizer's state like the weights it belongs to.

A second optimizer of the same config is built over the smaller weights, its state set to the first one's, cut; then the
two exchange their insides, so that the object the user holds goes on. Keras has no public way to ask an optimizer
which weights its decay leaves out: this file reads `Optimizer._trainable_variables` and `Optimizer._use_weight_decay`,
and writes `vars(optimizer)`. Checked on Keras 3.15.1; `tests/pruning/test_optimizer_state.py` runs every optimizer of
Keras.
"""

from collections import defaultdict
from collections.abc import Iterable

import keras

from keras_slim.errors import UnsupportedLayerError
from keras_slim.optimizer_slots import copies_of, slots_of, with_inner
from keras_slim.pruning.attributes import with_new
from keras_slim.pruning.surgery import Transfer


class OptimizerCut:
    """The exchange of an optimizer's weights and state for smaller ones, prepared but not yet made.

    Momentum, moments, averages and accumulators are cut where their weight was cut; learning rate, schedule, iteration
    count and loss scale carry over. What is a value of a weight, such as its moving average, also changes by what the
    weight itself has changed by, as where a cut was made up for with data.

    Args:
        optimizer: The optimizer. Nothing is changed before `exchange`.
        transfers: How the smaller model's variables came from the old ones.
        order: All new weights in the order in which the optimizer is to hold them. Defaults to the order of the old.
        fresh: New weights that come from none, which it is to train too.

    Raises:
        UnsupportedLayerError: If the optimizer cannot be made anew, or keeps state of which it cannot be said how it
            belongs to the weights.
    """

    def __init__(
        self,
        optimizer,
        transfers: list[Transfer],
        order: list[keras.Variable] | None = None,
        fresh: Iterable[keras.Variable] = (),
    ):
        self._pairs = []
        if optimizer.built:
            other = _cut(optimizer, transfers, order, fresh)
            self._pairs = list(zip(with_inner(optimizer), with_inner(other), strict=True))

    def exchange(self):
        """Makes the exchange; called once more, undoes it."""
        for old, new in self._pairs:
            inside = dict(vars(old)), dict(vars(new))
            for each, other in ((old, inside[1]), (new, inside[0])):
                vars(each).clear()
                vars(each).update(other)
        if len(self._pairs) > 1:
            _exchange_references(self._pairs)


def _exchange_references(pairs):
    """Lets the wrapping optimizers hold the same inner objects as before, also in what TensorFlow's checkpoints see."""
    other = {id(one): two for pair in pairs for one, two in (pair, pair[::-1])}
    for optimizer in pairs[0]:
        known = dict(other)
        vars(optimizer).update({name: with_new(value, known) for name, value in vars(optimizer).items()})


def _cut(optimizer, transfers, order, added):
    """Returns a new optimizer over the smaller weights, with the state of the old one."""
    by_old = {id(transfer.old): transfer for transfer in transfers}
    variables = [*(_new_of(variable, by_old) for variable in optimizer._trainable_variables), *added]
    if order:
        places = {id(variable): place for place, variable in enumerate(order)}
        variables.sort(key=lambda variable: places.get(id(variable), len(places)))
    fresh = _made_anew(optimizer)
    for old, new in zip(with_inner(optimizer), with_inner(fresh), strict=True):
        _exclude_from_weight_decay(old, new, transfers)
    fresh.build(variables)
    copies = {id(slot) for slot, _ in copies_of(fresh)}
    by_new = {id(transfer.new): transfer for transfer in transfers}
    owner = {id(slot): by_new.get(id(variable)) for each in with_inner(fresh) for slot, variable in slots_of(each)}
    for old, new in _pairs_of_state(optimizer, fresh, by_old):
        value = old.numpy()
        if value.shape != tuple(new.shape):
            value = _part(value, new, owner.get(id(new)), optimizer)
        elif value.ndim and id(new) not in owner and any(transfer.kept for transfer in transfers):
            _refuse(new, optimizer)
        if id(new) in copies and owner[id(new)]:
            # Fitted to activations of the weights of now, what makes up for a cut is no more to an average than an
            # offset: so it keeps its lag behind them, and what is computed from several copies stays true.
            value = value + owner[id(new)].change()
        new.assign(value)
    return fresh


def _pairs_of_state(optimizer, fresh, by_old):
    """Yields each variable of an optimizer with that in its place in the new one: slots by weight, others in turn."""
    waiting = defaultdict(list)
    for slot, variable in _slots(fresh):
        waiting[id(variable)].append(slot)
    slots = [(slot, waiting[id(_new_of(variable, by_old))].pop(0)) for slot, variable in _slots(optimizer)]
    yield from slots
    known = {id(each) for pair in slots for each in pair} | {id(slot) for slot, _ in _slots(fresh)}
    rest = ([each for each in one.variables if id(each) not in known] for one in (optimizer, fresh))
    yield from zip(*rest, strict=True)


def _slots(optimizer):
    """Returns the slots of an optimizer and of those it wraps, each once, with their weights."""
    state = {id(variable) for variable in optimizer.variables}
    pairs = [pair for each in with_inner(optimizer) for pair in slots_of(each) if id(pair[0]) in state]
    return list({id(slot): (slot, variable) for slot, variable in pairs}.values())


def _new_of(variable, by_old):
    return by_old[id(variable)].new if id(variable) in by_old else variable


def _made_anew(optimizer):
    """Returns an optimizer of the same config; a learning rate that is a function or a schedule is shared."""
    rate = vars(optimizer)["_learning_rate"]
    if isinstance(rate, keras.Variable):
        return type(optimizer).from_config(optimizer.get_config())
    # A schedule of the user's own need not have a config; the optimizer's needs one in its place.
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1)
    config = _stand_in(optimizer, _learning_rate=schedule).get_config()
    fresh = type(optimizer).from_config({**config, "learning_rate": lambda: 0.0})
    vars(fresh)["_learning_rate"] = rate
    return fresh


def _exclude_from_weight_decay(optimizer, fresh, transfers):
    """Excludes from decay the weights that the old optimizer excludes; its config does not tell them."""
    asked = _stand_in(optimizer, _exclude_from_weight_decay_cache={})  # it keeps each answer
    excluded = [transfer.new for transfer in transfers if not asked._use_weight_decay(transfer.old)]
    if excluded:
        fresh.exclude_from_weight_decay(var_list=excluded)


def _stand_in(optimizer, **attributes):
    """Returns an object to ask in the place of an optimizer, with some attributes of its own."""
    other = object.__new__(type(optimizer))
    vars(other).update(vars(optimizer) | attributes)
    return other


def _part(value, new, transfer, optimizer):
    """Returns the part of a slot's value that belongs to what is left of its weight."""
    for axes in _axes(value.ndim, len(transfer.old.shape) if transfer else 0):
        if all(value.shape[place] == transfer.old.shape[axis] for place, axis in enumerate(axes)):
            cut = transfer.cut(value, axes)
            if cut.shape == tuple(new.shape):
                return cut
    return _refuse(new, optimizer)


def _refuse(variable, optimizer):
    raise UnsupportedLayerError(
        f"Optimizer {type(optimizer).__name__} keeps a state '{variable.path}', and it cannot be told which weight it "
        "belongs to. Expected lists with one entry per trainable weight, as Keras's own optimizers keep them. Received "
        f"a variable of shape {tuple(variable.shape)} outside of such a list. Use an optimizer of Keras's own."
    )


def _axes(rank, weight_rank):
    """Yields the ways in which a slot's axes can lie along a weight's: all of them, or with one left out.

    Adafactor's factored moments leave out the last axis or the one before.
    """
    if rank == weight_rank:
        yield list(range(rank))
    elif rank == weight_rank - 1:
        yield list(range(rank))
        yield [*range(rank - 1), rank]

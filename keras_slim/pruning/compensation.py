"""Letting the kept units stand in for the removed ones, so that a cut hurts less.

What every unit put out before the cut is fitted as a linear function of what the kept ones put out after it, position
by position over some data, `a_i = sum_j beta_ij * a'_j + c_i`, and folded into every weight that reads them:
`W'[j] = sum_i beta_ij * W[i]`, the constants into the bias. There is no extra layer, and nothing more to compute later.
Weights are fitted from input to output, each on what it reads itself in the network that is cut and made up for so far:
so normalisation, sums, pooling and concatenation need no rule of their own, and errors do not add up.

Relatives: Kim et al. 2020 (neuron merging, arXiv 2010.13160), Chee et al. 2022 (interpolative decompositions, arXiv
2108.00065), He et al. 2017 (channel by channel reconstruction, arXiv 1707.06168).
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.running import observed_run, state_kept
from keras_slim.pruning.surgery import silence

ROWS_PER_COLUMN = 8
FEWEST_ROWS = 4096


def compensated_weights(graph, keep, batches, ridge):
    """Returns the weights with which the kept units stand in for the others.

    A pass over the data for each tensor that is summed over, through the model and through its masked twin. What is
    held at a time is the square matrix of one tensor's channels, not the activations.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.
        batches: Function of no argument that returns an iterator over flat lists of the model's inputs.
        ridge: Penalty on the squares of what `beta` differs from keeping each unit as it is, as a share of the mean
            variance of the kept units.

    Returns:
        Dictionary from the id of a variable to its new value, in the shape it has before the cut.
    """
    twin, transfers = silence(graph, keep)
    copies = {id(transfer.old): transfer.new for transfer in transfers}
    tensors = _same_tensors(graph.model, twin)
    norms = _normalised_next(graph.model)
    values = {}
    with state_kept(graph.model):
        for places, readings in _steps(graph, keep):
            moments = [Moments(columns, keep, readings[0].units) for columns in _columns(readings[0].units)]
            _observe(graph.model, twin, places, tensors, moments, batches)
            for moment in moments:
                for reading in readings:
                    for changed in _fold(reading, moment, ridge, norms, values):
                        copies[id(changed)].assign(values[id(changed)])
    return values


def _steps(graph, keep):
    """Yields what is read together and the readings, from input to output, from the first that loses a unit on."""
    sums = defaultdict(list)
    for reading in graph.readings:
        sums[id(reading.variable), reading.axis, reading.part.start].append(reading)
    steps = defaultdict(list)
    for readings in sums.values():
        steps[tuple(dict.fromkeys(map(_place, readings)))].append(readings[0])
    cut = False
    for places, readings in steps.items():
        kept = np.append(keep, True)[readings[0].units]
        cut = cut or not kept.all()
        if cut and kept.any():
            yield places, readings


@dataclasses.dataclass(frozen=True)
class _Place:
    """Part of an axis of a tensor, or of what a layer makes of it first."""

    tensor: keras.KerasTensor = dataclasses.field(hash=False, compare=False)
    key: int
    axis: int
    first: int
    last: int
    through: Callable | None

    def rows(self, value):
        """Returns what is read of the tensor's value, as an array of shape `(rows, positions)`."""
        value = keras.ops.convert_to_numpy(self.through(value) if self.through else value)
        return np.moveaxis(value, self.axis, -1).reshape(-1, value.shape[self.axis])[:, self.first : self.last]


def _place(reading):
    first, last = reading.positions.start, reading.positions.stop
    return _Place(reading.tensor, id(reading.tensor), reading.tensor_axis, first, last, reading.through)


def _columns(units):
    """Returns where the units stand along an axis, in arrays of one row per unit and a column per time it is there.

    Units that are there equally often stand in one array, and can stand in for each other: a flattened image has each
    filter once for every pixel, in the same order. Where all are there once, so can positions that are never cut.
    """
    positions = defaultdict(list)
    for position, unit in enumerate(units.tolist()):
        positions[unit if unit != WHOLE else f"whole {position}"].append(position)
    by_count = defaultdict(list)
    for unit, places in positions.items():
        if len(places) == 1 or not isinstance(unit, str):
            by_count[len(places)].append(places)
    return [np.array(places) for places in by_count.values()]


class Moments:
    """Second moments of columns of activations, before the cut and after it, summed up batch by batch.

    Args:
        columns: Where each column stands along the axis, as many times as it does, shape `(columns, times)`.
        keep: Boolean array: whether each unit is kept.
        units: The unit at each position of the axis, as in `Slot`.
    """

    def __init__(self, columns, keep, units):
        self.columns = columns
        self.kept = np.append(keep, True)[units[columns[:, 0]]]
        self.count = 0
        self.before, self.after = np.zeros(len(columns)), np.zeros(self.kept.sum())
        self.among_after = np.zeros((self.kept.sum(), self.kept.sum()))
        self.between = np.zeros((self.kept.sum(), len(columns)))

    def add(self, before, after, rng):
        """Takes in activations before and after, each `(rows, positions)`; of very many rows, a random part."""
        limit = max(FEWEST_ROWS, ROWS_PER_COLUMN * len(self.columns)) // self.columns.shape[1] + 1
        if len(before) > limit:
            chosen = rng.choice(len(before), limit, replace=False)
            before, after = before[chosen], after[chosen]
        before, after = self._table(before, self.columns), self._table(after, self.columns[self.kept])
        self.count += len(before)
        self.before += before.sum(axis=0)
        self.after += after.sum(axis=0)
        self.among_after += after.T @ after
        self.between += after.T @ before

    def fit(self, ridge, intercept):
        """Returns `beta`, shape `(kept, columns)`, and the constants, shape `(columns,)`, of the ridge regression."""
        before, after = (each / self.count * intercept for each in (self.before, self.after))
        among_after = self.among_after / self.count - np.outer(after, after)
        between = self.between / self.count - np.outer(after, before)
        as_it_is = np.eye(len(self.kept))[self.kept]
        penalty = max(ridge * np.trace(among_after) / max(1, len(among_after)), np.finfo(float).tiny ** 0.5)
        change = np.linalg.solve(among_after + penalty * np.eye(len(among_after)), between - among_after @ as_it_is)
        beta = as_it_is + change
        return beta, before - after @ beta

    @staticmethod
    def _table(rows, columns):
        table = np.moveaxis(rows[:, columns], 1, -1).astype(float)
        return table.reshape(table.shape[0] * table.shape[1], len(columns))


def _observe(model, twin, places, tensors, moments, batches):
    """Adds up the moments of what is read at some places, in the model and in its twin.

    Where a weight reads several tensors, or one that is computed several times, what comes later in the twin depends on
    the very weight that is to be fitted. Then the model stands for its twin.
    """
    rng = np.random.default_rng(0)
    number = None
    for inputs in batches():
        before = observed_run(model, inputs, {id(place.tensor) for place in places}, number)[1]
        after = observed_run(twin, inputs, {tensors[id(place.tensor)] for place in places}, number)[1]
        number = sum(map(len, before.values()))  # the first batch tells how often they are computed
        for place in places:
            old, new = before.get(id(place.tensor), []), after.get(tensors[id(place.tensor)], [])
            for pair in zip(old, new if number == 1 else old, strict=True):
                for moment in moments:
                    moment.add(*(place.rows(value) for value in pair), rng)


def _fold(reading, moments, ridge, norms, values):
    """Changes the values of a weight, and of what is added to the sum, so that they read kept units alone.

    Returns the variables whose values are others now.
    """
    if not moments.count:
        return []
    norm = norms.get(id(reading.output)) if reading.bias is None else None
    beta, constants = moments.fit(ridge, intercept=reading.bias is not None or norm is not None)
    part = np.moveaxis(_value(reading.variable, values)[..., reading.part], reading.axis, 0)  # a view
    read = part[moments.columns]  # columns, times, other axes of the weight
    part[moments.columns] = 0
    part[moments.columns[moments.kept]] = np.tensordot(beta, read, axes=1)
    shift = np.tensordot(constants, read.sum(axis=1), axes=1)
    if reading.bias is not None:
        bias = _value(reading.bias, values)
        bias = bias[0] if bias.ndim == 2 and len(bias) == 2 and part.ndim == 2 else bias  # GRU's: of input and state
        bias[..., reading.part] += _summed_to(bias.ndim, shift)
        return [reading.variable, reading.bias]
    if norm is not None:
        _value(norm.moving_mean, values)[reading.part] -= _summed_to(1, shift)
        return [reading.variable, norm.moving_mean]
    return [reading.variable]


def _summed_to(rank, array):
    """Returns an array summed over its first axes, down to a number of them."""
    return array.sum(axis=tuple(range(array.ndim - rank)))


def _value(variable, values):
    """Returns the value of a variable that is being changed, an array of float64."""
    return values.setdefault(id(variable), keras.ops.convert_to_numpy(variable).astype(float))


def _same_tensors(model, copy):
    """Returns the id of the tensor in a copy of a model that stands for each in the model, by its id."""
    same = {}
    for node, other in zip(_every_node(model), _every_node(copy), strict=True):
        pairs = [*zip(node.outputs, other.outputs, strict=True)]
        if is_graph(node.operation):
            pairs += zip(node.operation.inputs, other.operation.inputs, strict=True)
        same.update({id(tensor): id(twin) for tensor, twin in pairs})
    return same


def _normalised_next(model):
    """Returns, by the id of a tensor that was just summed up, the batch normalization that alone reads it."""
    readers, linear = defaultdict(list), set()
    for node in _every_node(model):
        for tensor in node.inputs:
            readers[id(tensor)].append(node.operation)
        layer = getattr(node.operation, "layer", node.operation)
        if getattr(layer, "activation", None) in (None, keras.activations.linear):
            linear.update(map(id, node.outputs))
    alone = {key: readers[key][0] for key in linear if len(readers[key]) == 1}
    return {key: layer for key, layer in alone.items() if isinstance(layer, keras.layers.BatchNormalization)}


def _every_node(model):
    for node in walk(model):
        yield node
        if is_graph(node.operation):
            yield from _every_node(node.operation)

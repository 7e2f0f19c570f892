"""Letting the kept units stand in for the removed ones, so that a cut hurts less.

What every unit put out before the cut is fitted as a linear function of what the kept ones put out after it, position
by position over some data, `a_i = sum_j beta_ij * a'_j + c_i`, and folded into every weight that reads them:
`W'[j] = sum_i beta_ij * W[i]`, the constants into the bias. There is no extra layer, and nothing more to compute later.
Weights are fitted from input to output, each on what it reads itself in the network that is cut and made up for so far:
so normalisation, sums, pooling and concatenation need no rule of their own, and errors do not add up.

What is no weighted sum has no such fit. Of a distance, as adder layers put out, the mean is set right where a bias or a
batch normalization can take it, and by the latter the variance too.

Relatives: Kim et al. 2020 (neuron merging, arXiv 2010.13160), Chee et al. 2022 (interpolative decompositions, arXiv
2108.00065), He et al. 2017 (channel by channel reconstruction, arXiv 1707.06168).
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.running import KeptState, observed_run
from keras_slim.graph.silencing import silent_value
from keras_slim.pruning.surgery import silence

ROWS_PER_COLUMN, FEWEST_ROWS = 8, 4096
MOST_COLUMNS = 4096
"""How many stand in for each other at most: the matrices of very wide layers would not fit into memory."""

RIDGES = (1, 1e2, 1e4, 1e6)
"""Multiples of the least penalty that are tried."""


def compensated_weights(graph, keep, batches, ridge):
    """Returns the weights with which the kept units stand in for the others.

    A pass over the data for each tensor that is summed over, through the model and through its masked twin. What is
    summed up meanwhile are square matrices of that tensor's channels. The first half of each batch is fitted, and the
    second half chooses how much the fit is trusted, down to not at all.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.
        batches: Function of no argument that returns an iterator over flat lists of the model's inputs.
        ridge: Least penalty on the squares of what `beta` differs from keeping each unit as it is, as a share of the
            mean variance of the kept units.

    Returns:
        Dictionary from the id of a variable to its new value, in the shape it has before the cut.

    Raises:
        ValueError: If activations are not finite.
    """
    twin, transfers = silence(graph, keep)
    copies = {id(transfer.old): transfer.new for transfer in transfers}
    tensors = _same_tensors(graph.model, twin)
    norms = _norms(graph)
    values = {}
    with KeptState(graph.model):
        for (sources, _), parts in _steps(graph, keep).items():
            moments = {part: _moments(readings[0], keep) for part, readings in parts.items()}
            _observe(graph.model, twin, sources, tensors, moments, batches)
            for part, readings in parts.items():
                for moment in moments[part]:
                    for reading in readings:
                        for changed in _fold(reading, moment, ridge, norms, values):
                            value = silent_value(graph, keep, changed, values[id(changed)])
                            copies[id(changed)].assign(value)
    return values


def _steps(graph, keep):
    """Returns what is read, from input to output, from the first that loses a unit on.

    From the tensors that are read together (those of the calls of one layer), and whether they are distances, to the
    parts of their axis, and from each part to the readings of different weights.
    """
    sums = defaultdict(list)
    for reading in graph.readings:
        sums[id(reading.variable), reading.axis, reading.part.start].append(reading)
    steps = defaultdict(lambda: defaultdict(list))
    cut = False
    for readings in sums.values():
        kept = np.append(keep, True)[readings[0].units]
        cut = cut or not kept.all()
        if cut and kept.any():
            sources = tuple(
                dict.fromkeys(
                    _Source(each.tensor, each.tensor_axis, each.through, each.is_remembered) for each in readings
                )
            )
            positions = readings[0].positions
            steps[sources, readings[0].is_distance][positions.start, positions.stop].append(readings[0])
    return steps


def _moments(reading, keep):
    """Returns what is to be summed up for a reading."""
    if reading.is_distance:
        return [Spread()]
    return [Moments(columns, keep, reading.units) for columns in _columns(reading.units, keep)]


@dataclasses.dataclass(frozen=True)
class _Source:
    """A tensor, or what a layer makes of it first, and the axis along which it is read."""

    tensor: keras.KerasTensor
    axis: int
    through: Callable | None
    is_remembered: bool

    def __hash__(self):
        return hash((id(self.tensor), self.axis, self.through))

    def __eq__(self, other):
        return self.tensor is other.tensor and (self.axis, self.through) == (other.axis, other.through)

    def rows(self, value):
        """Returns the tensor's value as an array of shape `(rows, positions)`, sample after sample."""
        value = keras.ops.convert_to_numpy(self.through(value) if self.through else value)
        return np.moveaxis(value, self.axis, -1).reshape(-1, value.shape[self.axis])


def _columns(units, keep):
    """Returns where the units stand along an axis, in arrays of one row per unit and a column per time it is there.

    Units that are there equally often stand in one array, and can stand in for each other: a flattened image has each
    filter once for every pixel, in the same order. Where all are there once, so can positions that are never cut. Very
    many are divided, and where all are kept then, none has to stand in.
    """
    positions = defaultdict(list)
    for position, unit in enumerate(units.tolist()):
        positions[unit if unit != WHOLE else f"whole {position}"].append(position)
    by_count = defaultdict(list)
    for unit, places in positions.items():
        if len(places) == 1 or not isinstance(unit, str):
            by_count[len(places)].append(places)
    arrays = []
    for places in map(np.array, by_count.values()):
        parts = np.array_split(places, -(-len(places) // MOST_COLUMNS))
        alive = np.append(keep, True)
        arrays += [part for part in parts if len(parts) == 1 or not alive[units[part[:, 0]]].all()]
    return arrays


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
        num_kept = int(self.kept.sum())
        self._halves = [_Sums(num_kept, len(columns)) for _ in range(2)]

    @property
    def count(self):
        """How many rows there were."""
        return sum(half.count for half in self._halves)

    @property
    def is_finite(self):
        """Whether there was no NaN and no infinity among the activations."""
        return all(np.isfinite(half.between).all() for half in self._halves)

    def add(self, before, after, rng):
        """Takes in activations before and after, each `(rows, positions)`; of very many rows, a random part."""
        limit = max(FEWEST_ROWS, ROWS_PER_COLUMN * len(self.columns)) // self.columns.shape[1] + 1
        if len(before) > limit:
            chosen = np.sort(rng.choice(len(before), limit, replace=False))
            before, after = before[chosen], after[chosen]
        middle = (len(before) + 1) // 2
        for half, part in zip(self._halves, (slice(middle), slice(middle, None)), strict=True):
            half.add(_table(before[part], self.columns), _table(after[part], self.columns[self.kept]))

    def fit(self, ridge, intercept):
        """Returns `beta`, shape `(kept, columns)`, and the constants, shape `(columns,)`, of the ridge regression."""
        first, second = self._halves
        as_it_is = np.eye(len(self.kept))[self.kept]
        penalties = [ridge * factor for factor in RIDGES]
        fits = [first.fit(penalty, as_it_is, intercept) for penalty in penalties]
        errors = [second.error(*each) for each in (*fits, first.fit(None, as_it_is, intercept))]
        good = 1.01 * min(errors) + 1e-12 * second.among_before  # of those about as good, the least penalty
        chosen = next(each for each, error in zip([*penalties, None], errors, strict=True) if error <= good)
        return (first + second).fit(chosen, as_it_is, intercept)


class Spread:
    """Means and variances of sums, before the cut and after it."""

    def __init__(self):
        self.count = 0
        self._sums = np.zeros((2, 2, 1))

    @property
    def is_finite(self):
        """Whether there was no NaN and no infinity among the sums."""
        return bool(np.isfinite(self._sums).all())

    def add(self, before, after, rng):
        """Takes in sums before and after, each `(rows, positions)`."""
        self.count += len(before)
        pair = (each.astype(float) for each in (before, after))
        self._sums = self._sums + [[each.sum(axis=0), np.square(each).sum(axis=0)] for each in pair]

    def means(self):
        """Returns the means before and after."""
        return self._sums[:, 0] / self.count

    def scale(self):
        """Returns the standard deviations after, as multiples of those before; 1 where there are none."""
        squares = self._sums[:, 1] / self.count
        before, after = np.maximum(squares - self.means() ** 2, 1e-12 * squares)
        return np.sqrt(np.divide(after, before, out=np.ones_like(before), where=before > 0))


def _table(rows, columns):
    """Returns columns of rows, a row for each time they are there."""
    table = np.moveaxis(rows[:, columns], 1, -1).astype(float)
    return table.reshape(table.shape[0] * table.shape[1], len(columns))


class _Sums:
    """Sums of products, of the kept columns after the cut and of all before it."""

    def __init__(self, num_kept, num_columns):
        self.count = 0
        self.before, self.after = np.zeros(num_columns), np.zeros(num_kept)
        self.among_before = 0.0  # the squares alone
        self.among_after, self.between = np.zeros((num_kept, num_kept)), np.zeros((num_kept, num_columns))

    def __add__(self, other):
        both = _Sums(len(self.after), len(self.before))
        for name, value in vars(self).items():
            setattr(both, name, value + vars(other)[name])
        return both

    def add(self, before, after):
        self.count += len(before)
        self.before += before.sum(axis=0)
        self.after += after.sum(axis=0)
        self.among_before += np.square(before).sum()
        self.among_after += after.T @ after
        self.between += after.T @ before

    def fit(self, ridge, as_it_is, intercept):
        """Returns `beta` and the constants; without a ridge, each unit stands for itself alone."""
        before, after = (each / max(1, self.count) * intercept for each in (self.before, self.after))
        beta = as_it_is
        if ridge is not None:
            among = self.among_after / self.count - np.outer(after, after)
            between = self.between / self.count - np.outer(after, before)
            penalty = max(ridge * np.trace(among) / max(1, len(among)), np.finfo(float).tiny ** 0.5)
            beta = as_it_is + np.linalg.solve(among + penalty * np.eye(len(among)), between - among @ as_it_is)
        return beta, before - after @ beta

    def error(self, beta, constants):
        """Returns the sum of the squared errors of a fit."""
        explained = 2 * np.sum(beta * self.between) + 2 * constants @ self.before
        size = np.sum(beta * (self.among_after @ beta)) + 2 * constants @ (self.after @ beta)
        return self.among_before - explained + size + self.count * constants @ constants


def _observe(model, twin, sources, tensors, moments, batches):
    """Adds up the moments of what is read of some tensors, in the model and in its twin.

    Where a weight reads several tensors, or one that is computed several times, or what the layer remembers, what comes
    later in the twin depends on the very weight that is to be fitted. Then the model stands for its twin.
    """
    rng = np.random.default_rng(0)
    number = None
    for inputs in batches():
        before = observed_run(model, inputs, {id(source.tensor) for source in sources}, number)[1]
        number = sum(map(len, before.values()))  # the first batch tells how often they are computed
        after = before
        if number == 1 and not sources[0].is_remembered:
            (seen,) = observed_run(twin, inputs, {tensors[id(sources[0].tensor)]}, number)[1].values()
            after = {id(sources[0].tensor): seen}
        for source in sources:
            for pair in zip(before.get(id(source.tensor), ()), after.get(id(source.tensor), ()), strict=True):
                old, new = map(source.rows, pair)
                for (start, stop), found in moments.items():
                    for moment in found:
                        moment.add(old[:, start:stop], new[:, start:stop], rng)


def _fold(reading, moments, ridge, norms, values):
    """Changes the values of a weight, and of what is added to the sum, so that they read kept units alone.

    Returns the variables whose values are others now.
    """
    if not moments.count:
        return []
    if not moments.is_finite:
        raise ValueError(
            f"What '{reading.variable.path}' reads holds values that are not finite. Expected finite activations on "
            "the data that a cut is made up for with. Look for NaN in the data, or give `calibration=False`."
        )
    if reading.is_distance:
        return _set_right(reading, norms.get(id(reading.output)), moments, values)
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


def _set_right(reading, norm, spread, values):
    """Changes the values of what follows a distance, so that it has the mean it had, and behind a norm its variance.

    Returns the variables whose values are others now.
    """
    (before, after), scale = spread.means(), spread.scale()
    if norm is not None:
        mean, variance = _value(norm.moving_mean, values), _value(norm.moving_variance, values)
        mean[:] = after - scale * (before - mean)
        variance[:] = np.maximum(scale**2 * (variance + norm.epsilon) - norm.epsilon, 0)
        return [norm.moving_mean, norm.moving_variance]
    if reading.bias is not None:
        bias = _value(reading.bias, values)
        bias -= after - before
        return [reading.bias]
    return []


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


def _norms(graph):
    """Returns the batch normalizations that can take what is constant in a sum, by the id of the sum's tensor.

    That is one that reads this tensor, which nothing else does, along the axis of the sums, and is called nowhere else;
    of a layer that is called once and has no activation.
    """
    readers, callers, calls = defaultdict(list), {}, Counter()
    ends = {id(tensor) for model in _every_model(graph.model) for tensor in model.outputs}
    for node in _every_node(graph.model):
        calls[id(node.operation)] += 1
        for tensor in node.inputs:
            readers[id(tensor)].append(node.operation)
        for tensor in node.outputs:
            callers[id(tensor)] = node.operation
    found = {}
    for reading in graph.readings:
        key = id(reading.output)
        if reading.output is None or key in ends or len(readers[key]) != 1:
            continue
        (norm,), layer, rank = readers[key], callers[key], len(reading.output.shape)
        if (
            isinstance(norm, keras.layers.BatchNormalization)
            and norm.axis % rank == reading.output_axis % rank
            and calls[id(norm)] == calls[id(layer)] == 1
            and getattr(layer, "activation", None) in (None, keras.activations.linear)
        ):
            found[key] = norm
    return found


def _every_model(model):
    yield model
    for node in walk(model):
        if is_graph(node.operation):
            yield from _every_model(node.operation)


def _every_node(model):
    for node in walk(model):
        yield node
        if is_graph(node.operation):
            yield from _every_node(node.operation)

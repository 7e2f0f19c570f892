"""Letting the kept units stand in for the removed ones, so that a cut hurts less.

What every unit put out before the cut is fitted as a linear function of what the kept ones put out after it, position
by position over some data, `a_i = sum_j beta_ij * a'_j + c_i`, and folded into every weight that reads them:
`W'[j] = sum_i beta_ij * W[i]`, the constants into the bias. There is no extra layer, and nothing more to compute later.
Zeros of a kernel whose weights were pruned one by one stay zero: the others are the nearest fit without them.
Weights are fitted from input to output, each on what it reads itself in the network that is cut and made up for so far:
so normalisation, sums, pooling and concatenation need no rule of their own, and errors do not add up.

What is no weighted sum has no such fit. Of a distance, as adder layers put out, the mean is set right where a bias or a
batch normalization can take it, and by the latter the variance too.

Relatives: Kim et al. 2020 (neuron merging, arXiv 2010.13160), Chee et al. 2022 (interpolative decompositions, arXiv
2108.00065), He et al. 2017 (channel by channel reconstruction, arXiv 1707.06168).
"""

import dataclasses
import functools
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable

import keras
import numpy as np

from keras_slim.distribution import each_alone, of_first_process
from keras_slim.errors import SlimWarning
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.program import Program
from keras_slim.graph.running import KeptState
from keras_slim.progress_display import progress
from keras_slim.pruning.lock_step import LockStep
from keras_slim.pruning.moments import Moments, Spread, columns_of
from keras_slim.pruning.silent_program import SilentProgram


def compensated_weights(graph, keep, batches, calibration, verbose=0):
    """Returns the weights with which the kept units stand in for the others.

    One pass over the data, through the model and its masked twin side by side. Where something is summed over, both
    stop, square matrices of that tensor's channels are summed up, and the twin goes on with the weights that follow
    from them. The first half of each batch is fitted, and the second half chooses how much the fit is trusted, down to
    not at all.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.
        batches: Function of no argument that returns an iterator over flat lists of the model's inputs.
        calibration: The `Calibration`. Its `ridge` is the least penalty on the squares of what `beta` differs from
            keeping each unit as it is, as a share of the mean variance of the kept units.
        verbose: 0 shows nothing, 1 how far it is, if it takes more than five seconds.

    Returns:
        Dictionary from the id of a variable to its new value, in the shape it has before the cut.

    Raises:
        ValueError: If activations are not finite.

    Warns:
        SlimWarning: If memory does not allow to look at all samples everywhere.
    """
    program, norms = Program(graph.model), _norms(graph)
    steps = _steps(graph, keep, program, norms)
    if not steps:
        return {}
    twin = SilentProgram(graph, keep, program)
    values = {}

    def fold(step):
        for changed in step.fold(calibration.ridge, norms, values):
            twin.set(changed, values[id(changed)])

    early = [step for step in steps if step.is_early]
    later = sorted((step for step in steps if not step.is_early), key=lambda step: step.call)
    state, model = KeptState(graph.model), graph.model
    with each_alone(model), state:
        networks = LockStep(program, twin, batches, [step.call for step in later], calibration.memory)
    if early:
        reads = defaultdict(list)
        for step in early:
            for source in step.sources:
                reads[source.place].append((step, source))
        with each_alone(model), state, progress("Looking at what is cut", "batches", verbose) as counted:
            for piece in counted(networks.pieces(batches)):
                for place, value in networks.alone(piece, reads):
                    for step, source in reads[place]:
                        step.add(source, value, value, piece.share)
        for step in early:
            fold(step)
    with each_alone(model), state, progress("Making up for the cut", "sums", verbose) as counted:
        for step in counted(later):
            (source,) = step.sources
            for piece in networks.carry_to(step.call):
                before, after = networks.look(piece, source.place)
                step.add(source, before, before if step.is_remembered else after, piece.share)
            fold(step)
    if later and not (networks.is_all and networks.fewest == networks.size):
        warnings.warn(
            f"A cut was made up for with as few as {networks.fewest} samples in some layers, and with "
            f"{networks.size} in the last{'' if networks.is_all else ', not with all'}: activations of more take more "
            f"than memory={calibration.memory:,} bytes. Give `Calibration(memory=...)` more, or `samples=` fewer.",
            SlimWarning,
            stacklevel=4,
        )
    return dict(zip(values, of_first_process(list(values.values())), strict=True))


def _steps(graph, keep, program, norms):
    """Returns the `_Step`s from the first that loses a unit on."""
    sums = defaultdict(list)
    for reading in graph.readings:
        sums[id(reading.variable), reading.axis, reading.part.start].append(reading)
    together = defaultdict(lambda: defaultdict(list))
    cut = False
    for first, *others in sums.values():
        kept = np.append(keep, True)[first.units]
        cut = cut or not kept.all()
        if cut and kept.any():
            sources = dict.fromkeys(
                _Source(place, each.tensor_axis, each.through)
                for each in (first, *others)
                for place in program.places[id(each.tensor)]
            )
            together[tuple(sources), first.is_distance][first.positions.start, first.positions.stop].append(first)
    makers = {number: index for index, call in enumerate(program.calls) for number in call.outputs}
    callers = {}
    for index, call in enumerate(program.calls):
        for variable in getattr(call.operation, "variables", ()):
            callers.setdefault(id(variable), index)
    steps = []
    for (sources, is_distance), parts in together.items():
        readings = [reading for each in parts.values() for reading in each]
        if not sources or any(id(reading.variable) not in callers for reading in readings):
            continue  # a rule states what no call shows
        known = max(makers.get(source.place, -1) for source in sources) + 1
        if is_distance:  # a normalization can be set behind the sums, a bias before them
            call = known if id(readings[0].output) in norms else known - 1
            is_early = len(sources) > 1
        else:
            call = min(callers[id(reading.variable)] for reading in readings)
            is_early = len(sources) > 1 or known > call
        steps.append(_Step(sources, dict(parts), keep, call, is_early))
    return steps


def _moments(reading, keep):
    """Returns what is to be summed up for a reading."""
    if reading.is_distance:
        return [Spread()]
    return [Moments(columns, keep, reading.units) for columns in columns_of(reading.units, keep)]


@dataclasses.dataclass(frozen=True)
class _Source:
    """A value in both networks, or what a layer makes of it first, and the axis along which it is read."""

    place: int
    axis: int
    through: Callable | None

    def rows(self, value):
        """Returns the value as an array of shape `(rows, positions)`, sample after sample."""
        value = keras.ops.convert_to_numpy(self.through(value) if self.through else value)
        return np.moveaxis(value, self.axis, -1).reshape(-1, value.shape[self.axis])


@dataclasses.dataclass(eq=False)
class _Step:
    """What is read of the same values, and fitted at once.

    Args:
        sources: The `_Source`s.
        parts: From a part of their axis, its first position and the one behind it, to readings of different weights.
        keep: As in `compensated_weights`.
        call: Number of the call before which its weights are to be set.
        is_early: Whether values that it reads depend on the very weights that are to be fitted, so that they must be
            set before: where a weight reads several values. Then the model stands for its twin.
    """

    sources: tuple[_Source, ...]
    parts: dict[tuple, list]
    keep: np.ndarray
    call: int
    is_early: bool

    def __post_init__(self):
        self._rng = np.random.default_rng(0)

    @functools.cached_property
    def moments(self):
        """What is summed up for each part, from the first time it is asked for until it is folded: that is large."""
        return {part: _moments(first, self.keep) for part, (first, *_) in self.parts.items()}

    @property
    def is_remembered(self):
        """Whether it reads what a layer remembers, which depends on its weights too: the model stands for its twin."""
        return next(iter(self.parts.values()))[0].is_remembered

    def add(self, source, before, after, share):
        """Takes in the value of a source in the model and in its twin, for a share of a batch."""
        old = source.rows(before)
        new = old if after is before else source.rows(after)
        for (start, stop), found in self.moments.items():
            for moment in found:
                moment.add(old[:, start:stop], new[:, start:stop], self._rng, share)

    def fold(self, ridge, norms, values):
        """Changes the values of the weights, and yields each variable of which the value is another now."""
        for part, readings in self.parts.items():
            for moment in self.moments[part]:
                moment.total()
                for reading in readings:
                    yield from _fold(reading, moment, ridge, norms, values)
        del self.moments


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
    fit = moments.fit(ridge, intercept=reading.bias is not None or norm is not None)
    part = np.moveaxis(_value(reading.variable, values)[..., reading.part], reading.axis, 0)  # a view
    read = part[moments.columns]  # columns, times, other axes of the weight
    part[moments.columns] = 0
    part[moments.columns[moments.kept]] = new = fit.stand_in(read, moments.kept)
    shift = np.tensordot(fit.before, read.sum(axis=1), axes=1) - np.tensordot(fit.after, new.sum(axis=1), axes=1)
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

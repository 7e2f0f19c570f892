"""Making a cut hurt less with a look at some data: no labels, no training, nothing added to the network.

Kept units stand in for the removed ones (`compensation`), or batch normalizations estimate their statistics anew. The
first recovers more, and leaves nothing for the second to do: weights are fitted to give what they gave before, for
which the statistics are those of before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from keras_slim.distribution import each_alone, sum_over_processes
from keras_slim.errors import invalid_argument
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.nodes import is_graph
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import KeptState, called, run
from keras_slim.kernels.backends import without_gradients
from keras_slim.pruning.compensation import compensated_weights
from keras_slim.scoring.data import as_batches, flat_inputs, num_samples
from keras_slim.validation import check_count, check_positive

STATISTICS = "moving_mean", "moving_variance"
LEAST_VARIANCE = 1e-2
"""What a channel is taken to vary at least by `settle`, as a share of what it did: it may be dead on little data."""


@dataclass(frozen=True)
class Calibration:
    """Says how a cut is made up for with data.

    Args:
        compensate: Whether kept units stand in for removed ones: what units put out before the cut is fitted as a
            linear function of what the kept ones put out after it, and folded into the weights that read them. Takes
            one pass over the data, through the model and its twin.
        recalibrate: Whether batch normalizations estimate their means and variances anew, in one pass. It helps where
            nothing is compensated, and harmed a little where all was, on three small networks.
        ridge: Least penalty of the fit, as a share of the mean variance of the kept units. Up to 1e6 times as much is
            taken where samples that were not fitted are explained better then.
        samples: Samples to look at, at most.
        memory: Bytes of activations to hold at most while weights are fitted, in both networks. Where it is not enough
            for all samples, the first layers, whose activations have many positions, are fitted on fewer of them.
    """

    compensate: bool = True
    recalibrate: bool = False
    ridge: float = 1e-6
    samples: int = 1024
    memory: int = 2**30

    def __post_init__(self):
        check_positive(self.ridge, "ridge", "Calibration")
        check_count(self.samples, "samples", "Calibration")
        check_count(self.memory, "memory", "Calibration")


def check_calibration(calibration, owner):
    """Returns the calibration: the default one for `None` and `True`, none at all for `False`."""
    if calibration is None or calibration is True:
        return Calibration()
    if calibration is False:
        return Calibration(compensate=False, recalibrate=False)
    if not isinstance(calibration, Calibration):
        expected = "a `keras_slim.pruning.Calibration`, True for the default one, or False for none"
        raise TypeError(invalid_argument("calibration", owner, expected=expected, received=calibration))
    return calibration


def calibration_inputs(data, model, steps, owner, samples) -> Callable:
    """Returns a function of no argument that starts a pass over flat lists of the model's inputs.

    It ends with the batch that completes a number of samples.
    """
    batches = as_batches(data, model, owner=owner, targets=False, steps=steps)

    def inputs():
        seen = 0
        for x, _, _ in batches():
            flat = flat_inputs(model, x)
            seen += num_samples(flat)
            yield flat
            if seen >= samples:
                return
        if not seen:
            expected = "at least one batch to calibrate with"
            hint = "A generator may be used up."
            raise ValueError(invalid_argument("data", owner, expected=expected, received="none", hint=hint))

    return inputs


@without_gradients()
def calibrated(make, graph, keep, batches, calibration, verbose=0):
    """Returns what `rebuild` or `silence` makes, calibrated.

    Args:
        make: One of the two.
        graph: Channel graph of the model.
        keep: Boolean array of shape `(graph.num_units,)`.
        batches: As `calibration_inputs` returns them; `None` for a plain cut.
        calibration: The `Calibration`.
        verbose: 0 shows nothing, 1 how far it is, if it takes more than five seconds.
    """
    if batches is None:
        return make(graph, keep)
    with clear_about_channels_first(graph.model):
        values = compensated_weights(graph, keep, batches, calibration, verbose) if calibration.compensate else {}
        model, transfers = make(graph, keep, values=values)
        if calibration.recalibrate:
            recalibrate(model, batches)
    return model, transfers


def recalibrate(model: keras.Model, batches) -> None:
    """Estimates the means and variances of all batch normalizations anew, in place.

    One pass: each normalises a batch by the statistics of that batch, as in training, while all other layers behave as
    at inference. What is set in the end are the mean of the means, and the variance over all batches. Frozen ones stay
    as they are.

    Args:
        model: A Functional or built Sequential model.
        batches: Function of no argument that returns an iterator over flat lists of its inputs.
    """
    for layer, statistics in _statistics(model, batches, in_training=True).items():
        _give(layer, STATISTICS, statistics)


def settle(model: keras.Model, batches, ignored=lambda layer: False) -> None:
    """Makes the means and variances of batch normalizations those of data, while the model answers as it did, in place.

    What varies less than it did is made up for by the scale, means by the offset. Training then begins where the model
    stands: a step normalises by the statistics of its batch, and what is fitted to be most like something else varies
    less than that, layer by layer. What hardly varies on the data is taken to vary a little. Normalizations stay as
    they are that are frozen, are called in training mode, have no scale or offset, or one with a constraint, or
    renormalise.

    Args:
        model: A Functional or built Sequential model.
        batches: Function of no argument that returns an iterator over flat lists of its inputs.
        ignored: Function of a normalization that tells whether it stays as it is.
    """
    trained = "gamma", "beta"
    for layer, (mean, variance) in _statistics(model, batches, in_training=False).items():
        if ignored(layer) or not _can_be_settled(layer):
            continue
        gamma, beta, old_mean, old_variance = before = _taken(layer, trained + STATISTICS)
        with np.errstate(all="ignore"):  # what is not finite stays as it is
            scale = gamma / np.sqrt(old_variance + layer.epsilon)
            _give(layer, STATISTICS, (mean, np.maximum(variance, LEAST_VARIANCE * old_variance)))
            mean, variance = _taken(layer, STATISTICS)  # as rounded
            gamma, beta = scale * np.sqrt(variance + layer.epsilon), beta + scale * (mean - old_mean)
            _give(layer, trained, (gamma, beta))
        if not all(np.isfinite(value).all() for value in _taken(layer, trained + STATISTICS)):
            _give(layer, trained + STATISTICS, before)


def is_plain(norm: keras.layers.BatchNormalization) -> bool:
    """Tells whether a batch normalization is Keras's own, and a mean and a variance are all that it keeps."""
    return type(norm) is keras.layers.BatchNormalization and not getattr(norm, "renorm", False)


def _can_be_settled(layer):
    return is_plain(layer) and layer.scale and layer.center and not (layer.gamma_constraint or layer.beta_constraint)


@without_gradients()
def _statistics(model, batches, in_training):
    """Returns means and variances of what batch normalizations read, by layer; frozen ones are left out.

    Args:
        model: A Functional or built Sequential model.
        batches: Function of no argument that returns an iterator over flat lists of its inputs.
        in_training: Whether each hands on what it normalises by the statistics of the batch. If not, those are left out
            that do so in any case.
    """
    layers = {id(layer): layer for layer in _normalizations(model)}
    before = {key: (layer.momentum, _taken(layer, STATISTICS)) for key, layer in layers.items()}
    seen: dict[int, list] = {key: [] for key in layers}
    left: set[int] = set()
    if not layers:
        return {}

    def call(node, given, args, kwargs):
        operation = node.operation
        is_inner = is_graph(operation) and find_rule(operation) is None
        if kwargs.get("training") and not in_training:
            left.update(map(id, _normalizations(operation) if is_inner else [operation]))
            return called(operation, args, kwargs)
        if is_inner:
            return run(operation, given, call)
        if id(operation) not in layers:
            return called(operation, args, kwargs)
        outputs = called(operation, args, {**kwargs, "training": True})
        mean, variance = _taken(operation, STATISTICS)
        seen[id(operation)].append((len(given[0]), mean, variance + mean**2))
        if in_training:
            return outputs
        _give(operation, STATISTICS, before[id(operation)][1])
        return called(operation, args, kwargs)

    try:
        for layer in layers.values():
            layer.momentum = 0.0  # so that the moving statistics are those of the last batch
        with clear_about_channels_first(model), each_alone(model), KeptState(model):
            for inputs in batches():
                run(model, inputs, call)
    finally:
        for key, layer in layers.items():
            layer.momentum, _ = before[key]
    found = {}
    for key, layer in layers.items():
        if seen[key] and key not in left:
            sizes, *moments = zip(*seen[key], strict=True)
            weighed = [np.tensordot(sizes, np.array(values), axes=1) for values in moments]
            total, mean, squares = sum_over_processes([sum(sizes), *weighed])
            mean, squares = mean / total, squares / total
            found[layer] = mean, np.maximum(squares - mean**2, 0.0)
    return found


def _taken(layer, names):
    return [keras.ops.convert_to_numpy(getattr(layer, name)).astype(float) for name in names]


def _give(layer, names, values):
    for name, value in zip(names, values, strict=True):
        getattr(layer, name).assign(value)


def _normalizations(model):
    """Yields the batch normalizations of a model and of the models inside it that are not frozen."""
    for layer in model.layers:
        if is_graph(layer):
            yield from _normalizations(layer)
        elif isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            yield layer

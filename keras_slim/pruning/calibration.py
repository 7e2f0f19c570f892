"""Making a cut hurt less with a look at some data: no labels, no training, nothing added to the network.

Kept units stand in for the removed ones (`compensation`), or batch normalizations estimate their statistics anew. The
first recovers more, and leaves nothing for the second to do: weights are fitted to give what they gave before, for
which the statistics are those of before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.nodes import is_graph
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import KeptState, called, run
from keras_slim.kernels.backends import without_gradients
from keras_slim.pruning.compensation import compensated_weights
from keras_slim.scoring.data import as_batches, flat_inputs, num_samples
from keras_slim.validation import check_count, check_positive


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
    layers = {id(layer): layer for layer in _normalizations(model)}
    seen: dict[int, list] = {key: [] for key in layers}
    if not layers:
        return

    def call(node, given, args, kwargs):
        operation = node.operation
        if is_graph(operation) and find_rule(operation) is None:
            return run(operation, given, call)
        if id(operation) not in layers:
            return called(operation, args, kwargs)
        outputs = called(operation, args, {**kwargs, "training": True})
        mean = keras.ops.convert_to_numpy(operation.moving_mean).astype(float)
        variance = keras.ops.convert_to_numpy(operation.moving_variance).astype(float)
        seen[id(operation)].append((len(given[0]), mean, variance + mean**2))
        return outputs

    momenta = {key: layer.momentum for key, layer in layers.items()}
    try:
        for layer in layers.values():
            layer.momentum = 0.0  # so that the moving statistics are those of the last batch
        with KeptState(model):
            for inputs in batches():
                run(model, inputs, call)
    finally:
        for key, layer in layers.items():
            layer.momentum = momenta[key]
    for key, layer in layers.items():
        if seen[key]:
            sizes, *moments = zip(*seen[key], strict=True)
            mean, squares = (np.average(values, axis=0, weights=sizes) for values in moments)
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(squares - mean**2)


def _normalizations(model):
    """Yields the batch normalizations of a model and of the models inside it that are not frozen."""
    for layer in model.layers:
        if is_graph(layer):
            yield from _normalizations(layer)
        elif isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            yield layer

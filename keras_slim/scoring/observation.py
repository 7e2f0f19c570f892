"""Watching what units put out while batches of data pass through the model."""

import keras
import numpy as np
from keras import ops

from keras_slim.distribution import each_alone, sum_over_processes
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.running import KeptState, observed_run
from keras_slim.scoring.data import NO_BATCH, flat_inputs, num_samples
from keras_slim.scoring.gradients import StepWithGradients
from keras_slim.scoring.kept_steps import Same, kept_step


def observe(graph, data, summed, gradients, name=None):
    """Returns the means over all samples of what is measured of activations, in one pass.

    Units that never leave their layer (the heads of an attention) have no activation to read. With gradients they are
    read off the weights `w` that consume them instead, since `sum(w * dL/dw)` is `sum(a * dL/da)`: what is then
    measured is one sample, the mean of a batch.

    Args:
        graph: Channel graph of the model.
        data: Function of no argument that returns an iterator over batches `(x, y, sample_weight)`.
        summed: Function from activations and gradients of shape `(samples, positions, channels)` to a tuple of tensors,
            each a sum over the samples.
        gradients: Whether it needs the derivative of the loss.
        name: Hashable value that only functions share that do the same. With it, what is compiled for gradients is kept
            for the next time; by default it is compiled anew.

    Returns:
        Pairs, one for each place where units can be read: the unit at each channel, as in `Slot`, and a tuple of
        arrays, the means.

    Raises:
        UnsupportedLayerError: If units cannot be observed.
    """
    if not graph.groups:
        return []
    hidden = _hidden_slots(graph, gradients)
    step = _step(graph, hidden, summed, gradients, name)
    totals, samples = None, 0
    with each_alone(graph.model), KeptState(graph.model):
        for x, y, sample_weight in data():
            sums = step(x, y, sample_weight)
            sums = keras.tree.map_structure(lambda value: ops.convert_to_numpy(value).astype(float), sums)
            totals = sums if totals is None else keras.tree.map_structure(np.add, totals, sums)
            samples += num_samples(x)
    if not samples:
        raise ValueError(NO_BATCH)
    totals, samples = sum_over_processes((totals, samples))
    means = keras.tree.map_structure(lambda total: total / samples, totals)
    return [(place.units, each) for place, each in zip([*graph.sites, *hidden], means, strict=True)]


def _hidden_slots(graph, gradients):
    """Returns the consuming weights of units that no site shows."""
    shown = np.isin(np.arange(graph.num_units), np.concatenate([[-1], *(site.units for site in graph.sites)]))
    slots = [slot for slot in graph.slots if slot.role == "consumes" and not np.append(shown, True)[slot.units].all()]
    if slots and not gradients:
        names = [group.name for group in graph.groups if not shown[group.first : group.first + group.size].all()]
        raise UnsupportedLayerError(
            f"The activations of {', '.join(names)} never leave their layer, so they cannot be looked at. "
            "Choose a criterion that looks at weights ('l2') or gradients ('taylor'), or name the layers in `ignore`."
        )
    return slots


def _step(graph, hidden, summed, gradients, name):
    """Returns the function from one batch to the sums at each place."""
    model, sites = graph.model, graph.sites

    def forward(x, change=None):
        return observed_run(model, flat_inputs(model, x), {id(site.tensor) for site in sites}, change=change)

    def sum_all(observed, slopes, weight_slopes=(), size=None):
        results = []
        for site in sites:
            parts = zip(observed[id(site.tensor)], slopes[id(site.tensor)], strict=True)
            results.append(_mean([summed(_flat(a, site.axis), _flat(g, site.axis)) for a, g in parts]))
        for slot, slope in zip(hidden, weight_slopes, strict=True):
            pair = ops.convert_to_tensor(slot.variable), slope
            as_sample = summed(*(_flat(ops.expand_dims(each, 0), slot.axis + 1) for each in pair))
            results.append(tuple(total * ops.cast(size, total.dtype) for total in as_sample))
        return results

    if gradients:
        places = [
            *((Same(site.tensor), site.axis) for site in sites),
            *((Same(slot.variable), slot.axis) for slot in hidden),
        ]
        compiled = kept_step(model, name and (name, tuple(places)), StepWithGradients)
        weights = [slot.variable for slot in hidden]
        return lambda *batch: compiled(model, forward, weights, sum_all, batch)

    def step(x, y, sample_weight):
        _, observed = forward(x)
        return sum_all(observed, {key: [None] * len(values) for key, values in observed.items()})

    return step


def _mean(tuples):
    """Returns the mean of tuples of tensors."""
    return tuple(sum(values) / len(values) for values in zip(*tuples, strict=True))


def _flat(tensor, axis):
    """Returns a tensor as `(samples, positions, channels)` in float32; `None` stays `None`."""
    if tensor is None:
        return None
    tensor = ops.moveaxis(ops.cast(tensor, "float32"), axis, -1)
    return ops.reshape(tensor, (ops.shape(tensor)[0], -1, tensor.shape[-1]))

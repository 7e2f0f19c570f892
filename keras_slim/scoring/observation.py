"""Watching what units put out while batches of data pass through the model."""

import keras
import numpy as np
from keras import ops

from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.running import observed_run, state_kept
from keras_slim.scoring.averaging import mean_by_unit
from keras_slim.scoring.data import flat_inputs
from keras_slim.scoring.gradients import step_with_gradients


def observe(graph, data, measure, gradients):
    """Returns the mean of a measure of each unit's activation over all samples.

    Units that never leave their layer (the heads of an attention) have no activation to read. With gradients they are
    read off the weights `w` that consume them instead, since `sum(w * dL/dw)` is `sum(a * dL/da)`.

    Args:
        graph: Channel graph of the model.
        data: Function of no argument that returns an iterator over batches `(x, y, sample_weight)`.
        measure: Function from activations and gradients of shape `(samples, positions, channels)` to a tensor of
            shape `(samples, channels)`.
        gradients: Whether the measure needs the derivative of the loss.

    Returns:
        Array of shape `(graph.num_units,)`.

    Raises:
        UnsupportedLayerError: If units cannot be observed.
    """
    if not graph.groups:
        return np.zeros(0)
    hidden = _hidden_slots(graph, gradients)
    step = _step(graph, hidden, measure, gradients)
    totals, samples = [], 0
    with state_kept(graph.model):
        for x, y, sample_weight in data():
            values = [ops.convert_to_numpy(value).astype(float) for value in step(x, y, sample_weight)]
            totals = [total + value for total, value in zip(totals or [0.0] * len(values), values, strict=True)]
            samples += len(keras.tree.flatten(x)[0])
    if not samples:
        raise ValueError("`data` holds no batch: expected at least one sample. A generator may be used up.")
    places = [*graph.sites, *hidden]
    return mean_by_unit(
        graph.num_units, ((place.units, total / samples) for place, total in zip(places, totals, strict=True))
    )


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


def _step(graph, hidden, measure, gradients):
    """Returns the function from one batch to the measure of each place, summed over the batch's samples."""
    model, sites = graph.model, graph.sites

    def forward(x):
        return observed_run(model, flat_inputs(model, x), {id(site.tensor) for site in sites})

    def measure_all(observed, slopes, weight_slopes=()):
        results = []
        for site in sites:
            parts = zip(observed[id(site.tensor)], slopes[id(site.tensor)], strict=True)
            values = [ops.sum(measure(_flat(a, site.axis), _flat(g, site.axis)), axis=0) for a, g in parts]
            results.append(sum(values) / len(values))
        for slot, slope in zip(hidden, weight_slopes, strict=True):
            weight = ops.convert_to_tensor(slot.variable)
            as_samples = [_flat(ops.expand_dims(each, 0), slot.axis + 1) for each in (weight, slope)]
            results.append(measure(*as_samples)[0])
        return results

    if gradients:
        return step_with_gradients(model, forward, [slot.variable for slot in hidden], measure_all)

    def step(x, y, sample_weight):
        _, observed = forward(x)
        return measure_all(observed, {key: [None] * len(values) for key, values in observed.items()})

    return step


def _flat(tensor, axis):
    """Returns a tensor as `(samples, positions, channels)` in float32; `None` stays `None`."""
    if tensor is None:
        return None
    tensor = ops.moveaxis(ops.cast(tensor, "float32"), axis, -1)
    return ops.reshape(tensor, (ops.shape(tensor)[0], -1, tensor.shape[-1]))

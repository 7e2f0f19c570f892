"""Watching what units put out while batches of data pass through the model."""

import keras
import numpy as np
from keras import ops

from keras_slim.graph.endpoints import endpoints
from keras_slim.scoring.averaging import mean_by_unit
from keras_slim.scoring.gradients import step_with_gradients


def observe(graph, data, measure, gradients):
    """Returns the mean of a measure of each unit's activation over all samples.

    Args:
        graph: Channel graph of the model.
        data: Function of no argument that returns an iterator over batches `(x, y, sample_weight)`.
        measure: Function from activations and gradients of shape `(samples, positions, channels)` to a tensor of
            shape `(samples, channels)`.
        gradients: Whether the measure needs the derivative of the loss.

    Returns:
        Array of shape `(graph.num_units,)`.
    """
    sites = list({id(producer.site): producer for producer in graph.producers}.values())
    if not sites:
        return np.zeros(graph.num_units)
    step = _step(graph.model, sites, measure, gradients)
    totals, samples = [0.0] * len(sites), 0
    for x, y, sample_weight in data():
        totals = [
            total + ops.convert_to_numpy(value).astype(float)
            for total, value in zip(totals, step(x, y, sample_weight), strict=True)
        ]
        samples += len(keras.tree.flatten(x)[0])
    if not samples:
        raise ValueError("`data` holds no batch: expected at least one sample. A generator may be used up.")
    return mean_by_unit(
        graph.num_units, ((site.site_units, total / samples) for site, total in zip(sites, totals, strict=True))
    )


def _step(model, sites, measure, gradients):
    """Returns the function from one batch to the measure of each site, summed over the batch's samples."""
    inputs, outputs = endpoints(model)
    probe = keras.Model(inputs, ([site.site for site in sites], outputs))
    axes = [site.axis for site in sites]

    def measure_all(activations, slopes):
        return [
            ops.sum(measure(_flat(activation, axis), None if slope is None else _flat(slope, axis)), axis=0)
            for activation, slope, axis in zip(activations, slopes, axes, strict=True)
        ]

    if gradients:
        return step_with_gradients(model, probe, measure_all)

    def step(x, y, sample_weight):
        activations, _ = probe(x, training=False)
        return measure_all(activations, [None] * len(sites))

    return step


def _flat(tensor, axis):
    """Returns a tensor as `(samples, positions, channels)` in float32."""
    tensor = ops.moveaxis(ops.cast(tensor, "float32"), axis, -1)
    return ops.reshape(tensor, (ops.shape(tensor)[0], -1, tensor.shape[-1]))

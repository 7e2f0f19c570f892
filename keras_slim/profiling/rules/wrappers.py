"""Layers around a layer: they have the work of what they wrap, as often as they call it."""

import dataclasses

import keras
from keras import layers

from keras_slim.graph.nodes import Node
from keras_slim.profiling.sizes import size
from keras_slim.profiling.work import Work, register_work, work_of


@register_work(layers.TimeDistributed)
def time_distributed(layer, call):
    steps = size(call.inputs[0].shape, axes=[1])
    inputs, outputs = _without_time(call.inputs), _without_time(call.outputs)
    one_step = Node(layer.layer, inputs, outputs, args=inputs, kwargs={})
    return [work.times(steps) for work in work_of(one_step)]


@register_work(layers.Pipeline)
def pipeline(layer, call):
    works, inputs = [], tuple(call.inputs)
    for each in layer.layers:
        outputs = (keras.KerasTensor(each.compute_output_shape(inputs[0].shape), inputs[0].dtype),)
        works += work_of(Node(each, inputs, outputs, args=inputs, kwargs={}))
        inputs = outputs
    return works


@register_work(layers.Bidirectional)
def bidirectional(layer, call):
    both = layer.forward_layer, layer.backward_layer
    return [work for one in both for work in work_of(dataclasses.replace(call, operation=one))]


@register_work(layers.SpectralNormalization)
def spectral_normalization(layer, call):
    """Its power iteration belongs to training."""
    return [*work_of(dataclasses.replace(call, operation=layer.layer)), Work(0, layer.vector_u)]


def _without_time(tensors):
    return tuple(keras.KerasTensor((tensor.shape[0], *tensor.shape[2:]), tensor.dtype) for tensor in tensors)

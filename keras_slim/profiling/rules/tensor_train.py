"""Layers whose matrix is a tensor train: what each core meets, one after the other, or to build the matrix."""

import math

from keras_slim.layers import TensorTrainDense, TensorTrainEmbedding
from keras_slim.layers.tensor_train_dense import work_of_cores
from keras_slim.layers.tensor_train_embedding import work_per_vector
from keras_slim.profiling.sizes import positions, size
from keras_slim.profiling.work import Work, register_work


@register_work(TensorTrainDense)
def tensor_train_dense(layer, call):
    """The kernel, once built, meets the inputs as that of a dense layer does."""
    places = positions(call.inputs[0].shape)
    through_cores, to_build = work_of_cores(layer.inputs, layer.outputs, layer.ranks)
    if not layer.builds_matrix(places):
        return [_of(core, places * work) for core, work in zip(layer.cores, through_cores, strict=True)]
    whole = Work(places * math.prod(layer.inputs) * layer.units)
    return [whole, *(_of(core, work) for core, work in zip(layer.cores, to_build, strict=True))]


@register_work(TensorTrainEmbedding)
def tensor_train_embedding(layer, call):
    """A vector is the product of those parts of the cores that its digits pick."""
    work = size(call.inputs[0].shape) * work_per_vector(layer.outputs, layer.ranks)
    return [Work(work), *(Work(0, core) for core in layer.cores)]


def _of(core, work):
    return Work(work // math.prod(core.shape), core)

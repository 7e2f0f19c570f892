"""Layers whose matrix is a tensor train: a unit is no row or column of any core, so all stay."""

from keras_slim.graph.registry import register_rule
from keras_slim.layers import TensorTrainDense, TensorTrainEmbedding


@register_rule(TensorTrainDense, TensorTrainEmbedding)
def tensor_train(call):
    """An input or a unit is several digits, each of which others have too."""
    return call.keep_inputs_whole("its inputs and units are digits of a tensor train, which cannot go one by one")

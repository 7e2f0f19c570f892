"""Which layers have a kernel that can be written as a product, and why others have not."""

import keras

from keras_slim.graph.stock import differs_because
from keras_slim.held import layers_within
from keras_slim.layers import HashedDense, TensorTrainDense, TensorTrainEmbedding
from keras_slim.lowrank.attention import FactorableAttention, FactorableGroupedAttention
from keras_slim.lowrank.einsum import FactorableEinsum
from keras_slim.lowrank.kinds import Factorable, FactorableConvolution, FactorableEmbedding
from keras_slim.lowrank.recurrent import FactorableRecurrent

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
KINDS = {
    keras.layers.Dense: Factorable,
    keras.layers.Embedding: FactorableEmbedding,
    keras.layers.EinsumDense: FactorableEinsum,
    keras.layers.MultiHeadAttention: FactorableAttention,
    keras.layers.GroupQueryAttention: FactorableGroupedAttention,
    **dict.fromkeys(CONVOLUTIONS, FactorableConvolution),
    **dict.fromkeys(RECURRENT, FactorableRecurrent),
}
WHOLE = {
    keras.layers.DepthwiseConv1D: "it convolves each channel by itself",
    keras.layers.DepthwiseConv2D: "it convolves each channel by itself",
    keras.layers.SeparableConv1D: "it is a product already",
    keras.layers.SeparableConv2D: "it is a product already",
    TensorTrainDense: "it is a product already",
    TensorTrainEmbedding: "it is a product already",
    HashedDense: "its kernel repeats the few numbers that it has",
}
"""Why layers with kernels stay whole that have no factors."""


def why_not(layer: keras.layers.Layer) -> str:
    """Returns why the kernel of a layer cannot be written as a product, or an empty string if it can."""
    for kind, reason in WHOLE.items():
        if isinstance(layer, kind):
            return reason
    if not isinstance(layer, tuple(KINDS)):
        return f"there are no factors of a `{type(layer).__name__}`"
    if reason := differs_because(layer, KINDS):
        return reason
    if reason := next(filter(None, (differs_because(each, (type(each),)) for each in layers_within(layer))), ""):
        return reason
    if getattr(layer, "groups", 1) > 1:
        return "it convolves groups of channels by themselves"
    return factorable(layer).why_not()


def factorable(layer: keras.layers.Layer) -> Factorable:
    """Returns a layer, for which `why_not` has no reason, as one whose kernel can be written as a product."""
    return KINDS[type(layer)](layer)

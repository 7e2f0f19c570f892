"""Layers that Keras does not have: convolutions without multiplications, and layers over some of the channels."""

from keras_slim.layers.adder_conv1d import AdderConv1D
from keras_slim.layers.adder_conv2d import AdderConv2D
from keras_slim.layers.adder_dense import AdderDense
from keras_slim.layers.adder_depthwise_conv2d import AdderDepthwiseConv2D
from keras_slim.layers.for_each_sample import ForEachSample
from keras_slim.layers.masked_adder import MaskedAdderConv1D, MaskedAdderConv2D, MaskedAdderDense
from keras_slim.layers.masked_attention import MaskedAttention
from keras_slim.layers.masked_embedding import MaskedReversibleEmbedding
from keras_slim.layers.masked_normalization import (
    MaskedLayerNormalization,
    MaskedRMSNormalization,
    MaskedUnitNormalization,
)
from keras_slim.layers.masked_operation import MaskedOperation, SilencedOperation, SpreadOperation
from keras_slim.layers.weight import Weight

__all__ = [
    "AdderConv1D",
    "AdderConv2D",
    "AdderDense",
    "AdderDepthwiseConv2D",
    "ForEachSample",
    "MaskedAdderConv1D",
    "MaskedAdderConv2D",
    "MaskedAdderDense",
    "MaskedAttention",
    "MaskedLayerNormalization",
    "MaskedOperation",
    "MaskedRMSNormalization",
    "MaskedReversibleEmbedding",
    "MaskedUnitNormalization",
    "SilencedOperation",
    "SpreadOperation",
    "Weight",
]

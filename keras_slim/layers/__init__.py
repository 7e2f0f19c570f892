"""Layers that Keras does not have.

Without multiplications, with few bits, hashed, with small cores in the place of a large kernel, and over some of the
channels.
"""

from keras_slim.layers.adder_conv1d import AdderConv1D
from keras_slim.layers.adder_conv2d import AdderConv2D
from keras_slim.layers.adder_dense import AdderDense
from keras_slim.layers.adder_depthwise_conv2d import AdderDepthwiseConv2D
from keras_slim.layers.for_each_sample import ForEachSample
from keras_slim.layers.hashed_dense import HashedDense
from keras_slim.layers.masked_adder import MaskedAdderConv1D, MaskedAdderConv2D, MaskedAdderDense
from keras_slim.layers.masked_attention import MaskedAttention
from keras_slim.layers.masked_embedding import MaskedReversibleEmbedding
from keras_slim.layers.masked_normalization import (
    MaskedLayerNormalization,
    MaskedRMSNormalization,
    MaskedUnitNormalization,
)
from keras_slim.layers.masked_operation import MaskedOperation, SilencedOperation, SpreadOperation
from keras_slim.layers.quant_conv1d import QuantConv1D
from keras_slim.layers.quant_conv2d import QuantConv2D
from keras_slim.layers.quant_conv2d_transpose import QuantConv2DTranspose
from keras_slim.layers.quant_conv3d import QuantConv3D
from keras_slim.layers.quant_dense import QuantDense
from keras_slim.layers.quant_depthwise_conv2d import QuantDepthwiseConv2D
from keras_slim.layers.quant_embedding import QuantEmbedding
from keras_slim.layers.quant_separable_conv2d import QuantSeparableConv2D
from keras_slim.layers.quantize import Quantize
from keras_slim.layers.tensor_train_dense import TensorTrainDense
from keras_slim.layers.tensor_train_embedding import TensorTrainEmbedding
from keras_slim.layers.weight import Weight

__all__ = [
    "AdderConv1D",
    "AdderConv2D",
    "AdderDense",
    "AdderDepthwiseConv2D",
    "ForEachSample",
    "HashedDense",
    "MaskedAdderConv1D",
    "MaskedAdderConv2D",
    "MaskedAdderDense",
    "MaskedAttention",
    "MaskedLayerNormalization",
    "MaskedOperation",
    "MaskedRMSNormalization",
    "MaskedReversibleEmbedding",
    "MaskedUnitNormalization",
    "QuantConv1D",
    "QuantConv2D",
    "QuantConv2DTranspose",
    "QuantConv3D",
    "QuantDense",
    "QuantDepthwiseConv2D",
    "QuantEmbedding",
    "QuantSeparableConv2D",
    "Quantize",
    "SilencedOperation",
    "SpreadOperation",
    "TensorTrainDense",
    "TensorTrainEmbedding",
    "Weight",
]

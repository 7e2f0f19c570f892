"""Adder layers: no multiplication and two additions for each use of an element: a difference, and its sum.

The absolute value is a bit that is cleared, and counts nothing. Twins that leave channels out have the size of the
layers whose place they take, and count as these.
"""

from keras_slim.layers import (
    AdderConv1D,
    AdderConv2D,
    AdderDense,
    AdderDepthwiseConv2D,
    MaskedAdderConv1D,
    MaskedAdderConv2D,
    MaskedAdderDense,
)
from keras_slim.profiling.sizes import positions
from keras_slim.profiling.work import register_work, weight_work


@register_work(AdderConv1D, AdderConv2D, AdderDepthwiseConv2D, MaskedAdderConv1D, MaskedAdderConv2D)
def adder_convolution(layer, call):
    return _distances(layer, positions(call.outputs[0].shape, layer.data_format))


@register_work(AdderDense, MaskedAdderDense)
def adder_dense(layer, call):
    return _distances(layer, positions(call.inputs[0].shape))


def _distances(layer, uses):
    return weight_work(layer, {"kernel": uses}, multiplications=0, additions=2)

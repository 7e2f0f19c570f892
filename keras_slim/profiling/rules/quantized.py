"""Layers with rounded weights and inputs: where one of two has two or three values, nothing is multiplied.

What is added are the inputs, or their opposites; the values themselves, such as the scale of a filter, are multiplied
once for each output, which counts nothing, like normalization. Where both have two values, the product is an XNOR, and
its sum an addition. Other numbers of few bits are multiplied like all others.
"""

import dataclasses

from keras_slim.layers import (
    QuantConv1D,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantDense,
    QuantDepthwiseConv2D,
    QuantEmbedding,
    Quantize,
    QuantSeparableConv2D,
)
from keras_slim.layers.quantized import INPUTS
from keras_slim.profiling.rules.convolutions import convolution, separable_convolution, transposed_convolution
from keras_slim.profiling.rules.dense import dense
from keras_slim.profiling.rules.uncounted import uncounted
from keras_slim.profiling.work import Work, register_work

TERNARY, BINARY = 3, 2


def _rounded(rule, *types):
    """Registers the rule of a layer of Keras for those that round beside."""

    @register_work(*types)
    def rounded(layer, call):
        works = [_counted(work, *_num_values(layer, work.weight)) for work in rule(layer, call)]
        kept = [variable for place in layer.places.values() for variable in place.variables.values()]
        return works + [Work(0, variable) for variable in kept]

    rounded.__doc__ = rule.__doc__


def _num_values(layer, weight):
    """Returns how many values the elements of a weight have, and those that they meet; infinitely many at best."""
    first, *_ = layer.weight_axes
    values = {name: place.num_values for name, place in layer.places.items()}
    name = next(name for name in layer.weight_axes if getattr(layer, name) is weight)
    return values.get(name, float("inf")), values.get(INPUTS, float("inf")) if name == first else float("inf")


def _counted(work, *num_values):
    if max(num_values) <= BINARY:
        return dataclasses.replace(work, multiplications=0, xnors=1)
    return dataclasses.replace(work, multiplications=0) if min(num_values) <= TERNARY else work


_rounded(convolution, QuantConv1D, QuantConv2D, QuantConv3D, QuantDepthwiseConv2D)
_rounded(separable_convolution, QuantSeparableConv2D)
_rounded(transposed_convolution, QuantConv2DTranspose)
_rounded(dense, QuantDense)
register_work(QuantEmbedding, Quantize)(uncounted)

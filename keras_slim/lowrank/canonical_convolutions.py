"""Convolutions as sums of products of vectors (CP): of size 1, for each channel by itself, of size 1."""

import math

import keras

from keras_slim.factorization import CANONICAL
from keras_slim.graph.copying import copied
from keras_slim.lowrank.kinds import FRESH, OF_A_FACTOR, FactorableConvolution

DEPTHWISE = {keras.layers.Conv1D: keras.layers.DepthwiseConv1D, keras.layers.Conv2D: keras.layers.DepthwiseConv2D}


class CanonicalConvolution(FactorableConvolution):
    """A convolution that becomes three, of which the second has its size, stride and dilation."""

    def __init__(self, layer):
        super().__init__(layer)
        self.schemes = {"cp": CANONICAL}

    def why_not(self):
        layer = self.layer
        if max(layer.kernel_size) == 1:
            return "a kernel of size 1 is a matrix, which other schemes cut"
        if layer.padding == "causal":
            return "no convolution of each channel by itself has causal padding"
        if len(set(layer.strides)) > 1:
            return "a convolution of each channel by itself cannot have unequal strides"
        return super().why_not()

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        if scheme is None:
            return super().macs(inputs, outputs)
        (rank,), (*size, num_inputs, num_outputs) = ranks, self.shape
        before, behind = (math.prod(self._places(shape)) for shape in (inputs, outputs))
        return rank * (num_inputs * before + (math.prod(size) + num_outputs) * behind)

    def stack(self, scheme, ranks, names, changes):
        (rank,), layer = ranks, self.layer
        ones = (1,) * len(layer.kernel_size)
        point = {**FRESH, "kernel_size": ones, "strides": ones, "dilation_rate": ones}
        first = copied(layer, **OF_A_FACTOR, **point, filters=rank, name=next(names))
        each_channel = DEPTHWISE[type(layer)](
            layer.kernel_size,
            strides=layer.strides,
            padding=layer.padding,
            data_format=layer.data_format,
            dilation_rate=layer.dilation_rate,
            use_bias=False,
            depthwise_regularizer=layer.kernel_regularizer,
            dtype=layer.dtype_policy,
            trainable=layer.trainable,
            name=next(names),
        )
        return [first, each_channel, copied(layer, **{**changes, **point})]

    def fill(self, stack, factors, bias):
        for layer, kernel in zip(stack, (factors.first, factors.positions, factors.last), strict=True):
            layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        if self.bias is not None:
            stack[-1].bias.assign(self.bias if bias is None else bias)

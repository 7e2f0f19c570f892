"""Arithmetic that no backend has: sums of absolute differences in place of sums of products."""

from keras_slim.kernels.adder import adder_convolution

__all__ = ["adder_convolution"]

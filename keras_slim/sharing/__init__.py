"""Few values in place of many: kernels whose weights share them."""

from keras_slim.sharing.adder_kernels import share_kernel_values

__all__ = ["share_kernel_values"]

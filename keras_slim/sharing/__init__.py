"""Few values in place of many: kernels whose weights share them."""

from keras_slim.sharing.adder_kernels import share_kernel_values
from keras_slim.sharing.codes import Codes
from keras_slim.sharing.share_weights import share_weights

__all__ = ["Codes", "share_kernel_values", "share_weights"]

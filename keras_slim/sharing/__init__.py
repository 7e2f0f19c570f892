"""Few values in place of many: kernels whose weights share them.

`share_weights` rounds single weights or blocks of them, to fit the weights or, with data, what layers put out. It
returns which weights share a value: `Codes`, integers by the path of a kernel. The callback
`keras_slim.callbacks.WeightSharing` trains the values. `share_kernel_values` is for adder layers, which are computed
faster with few values, zero among them, and frozen then.
"""

from keras_slim.sharing.adder_kernels import share_kernel_values
from keras_slim.sharing.codes import Codes
from keras_slim.sharing.share_weights import share_weights

__all__ = ["Codes", "share_kernel_values", "share_weights"]

"""Pruning single weights: which are kept, and holding the others at zero while a model trains.

The callbacks `DenseSparseDense`, `GradualPruning`, `LotteryTicket` and `HoldMasks` decide when; this package says
which. `Masks` is the data between them: booleans by the path of a kernel. The models are plain Keras models of the same
shape, before, during and after.
"""

from keras_slim.sparsity.compare import SeedComparison, compare
from keras_slim.sparsity.holding import release
from keras_slim.sparsity.kernels import kernels
from keras_slim.sparsity.magnitude import magnitude_masks
from keras_slim.sparsity.masks import Masks
from keras_slim.sparsity.patterns import Block, NOfM, Pattern, Single

__all__ = [
    "Block",
    "Masks",
    "NOfM",
    "Pattern",
    "SeedComparison",
    "Single",
    "compare",
    "kernels",
    "magnitude_masks",
    "release",
]

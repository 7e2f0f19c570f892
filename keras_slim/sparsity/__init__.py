"""Pruning single weights: which are kept, and holding the others at zero while a model trains.

The callbacks `DenseSparseDense`, `GradualPruning`, `LotteryTicket` and `HoldMasks` decide when; this package says
which. `Masks` is the data between them: booleans by the path of a kernel. A `Ticket` is masks and the values to train
from. The models are plain Keras models of the same shape, before, during and after.
"""

from keras_slim.sparsity.compare import SeedComparison, compare
from keras_slim.sparsity.holding import release
from keras_slim.sparsity.kernels import kernels
from keras_slim.sparsity.magnitude import magnitude_masks
from keras_slim.sparsity.masks import Masks
from keras_slim.sparsity.patterns import Block, NOfM, Pattern, Single
from keras_slim.sparsity.ticket import Ticket

__all__ = [
    "Block",
    "Masks",
    "NOfM",
    "Pattern",
    "SeedComparison",
    "Single",
    "Ticket",
    "compare",
    "kernels",
    "magnitude_masks",
    "release",
]

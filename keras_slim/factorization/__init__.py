"""Kernels as products of smaller ones: factors, and the ranks they need. Arrays in, arrays out.

`LowRank` cuts a matrix, for the inputs it will see if these are known; `SCHEMES` cut kernels along some of their axes;
`SmallerHeads` cuts attention head by head; `tensor_train` cuts a matrix along many at once; `CANONICAL` makes a kernel
a sum of products of vectors. `energy_rank` and `evbmf_rank` say how much of a matrix is worth keeping.
"""

from keras_slim.factorization.attention import Heads, SmallerHeads
from keras_slim.factorization.canonical import CANONICAL, Canonical
from keras_slim.factorization.evbmf import evbmf_rank
from keras_slim.factorization.low_rank import LowRank, LowRankProduct, energy_rank, singular_values
from keras_slim.factorization.schemes import SCHEMES, Factors, Scheme
from keras_slim.factorization.tensor_train import (
    balanced_factors,
    covering_factors,
    tensor_train,
    tensor_train_deviation,
    tensor_train_ranks,
    train_product,
)
from keras_slim.factorization.train_scheme import Train, TrainScheme

__all__ = [
    "CANONICAL",
    "SCHEMES",
    "Canonical",
    "Factors",
    "Heads",
    "LowRank",
    "LowRankProduct",
    "Scheme",
    "SmallerHeads",
    "Train",
    "TrainScheme",
    "balanced_factors",
    "covering_factors",
    "energy_rank",
    "evbmf_rank",
    "singular_values",
    "tensor_train",
    "tensor_train_deviation",
    "tensor_train_ranks",
    "train_product",
]

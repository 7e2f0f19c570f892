"""Kernels as products of smaller ones: factors, and the ranks they need. Arrays in, arrays out.

`LowRank` cuts a matrix, for the inputs it will see if these are known; `SCHEMES` cut kernels along some of their axes;
`tensor_train` cuts a matrix along many at once. `energy_rank` and `evbmf_rank` say how much of a matrix is worth
keeping.
"""

from keras_slim.factorization.evbmf import evbmf_rank
from keras_slim.factorization.low_rank import LowRank, energy_rank, singular_values
from keras_slim.factorization.schemes import SCHEMES, Factors, Scheme
from keras_slim.factorization.tensor_train import tensor_train, tensor_train_deviation

__all__ = [
    "SCHEMES",
    "Factors",
    "LowRank",
    "Scheme",
    "energy_rank",
    "evbmf_rank",
    "singular_values",
    "tensor_train",
    "tensor_train_deviation",
]

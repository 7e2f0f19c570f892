"""A large matrix as a train of small cores: storage shrinks by orders of magnitude, arithmetic does not."""

import math

import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.factorization.low_rank import LowRank


def tensor_train(matrix: np.ndarray, inputs: tuple[int, ...], outputs: tuple[int, ...], ranks) -> list[np.ndarray]:
    """Returns the cores of a matrix as a tensor train (TT-SVD).

    Its rows and columns are counted in several digits. Entry `((i_1 ... i_d), (j_1 ... j_d))` of the matrix is the
    product of the matrices `core_k[:, i_k, j_k, :]`. Exact where no rank is cut.

    Args:
        matrix: Array of shape `(product of inputs, product of outputs)`.
        inputs: In how many values each digit of a row counts, the slowest first.
        outputs: The same for columns, as many.
        ranks: Most columns between two cores, one number for all or one for each of the places between them.

    Returns:
        Cores of shape `(rank before, inputs[k], outputs[k], rank behind)`, the first and the last rank being 1.

    Raises:
        ValueError: If shapes do not fit, or a number is not finite.

    Example:

    >>> cores = tensor_train(np.random.rand(12, 20), (3, 4), (4, 5), 6)
    >>> [core.shape for core in cores]
    [(1, 3, 4, 6), (6, 4, 5, 1)]

    Reference:
        Novikov et al. 2015, "Tensorizing neural networks", arXiv 1509.06569; Oseledets 2011.
    """
    depth = len(inputs)
    ranks = [ranks] * (depth - 1) if np.ndim(ranks) == 0 else list(ranks)
    shape = (math.prod(inputs), math.prod(outputs))
    if len(outputs) != depth or len(ranks) != depth - 1 or np.shape(matrix) != shape:
        expected = f"a matrix of shape {shape}, as many outputs as inputs, and {depth - 1} ranks"
        received = f"{np.shape(matrix)}, inputs {inputs}, outputs {outputs}, ranks {ranks}"
        raise ValueError(invalid_argument("matrix", "tensor_train", expected=expected, received=received))
    digits = np.asarray(matrix, float).reshape(*inputs, *outputs)
    digits = digits.transpose([axis + side * depth for axis in range(depth) for side in (0, 1)])
    cores, rest = [], digits.reshape(1, -1)
    for number_in, number_out, most in zip(inputs, outputs, ranks, strict=False):
        rest = rest.reshape(len(rest) * number_in * number_out, -1)
        found = LowRank(rest)
        rank = max(1, min(most, int((found.singular_values > 0).sum())))
        first, second = found.factors(rank)
        roots = np.sqrt(found.singular_values[:rank])
        first, rest = first / np.where(roots, roots, 1), second * roots[:, None]
        cores.append(first.reshape(-1, number_in, number_out, rank))
    return [*cores, rest.reshape(-1, inputs[-1], outputs[-1], 1)]


def tensor_train_deviation(deviation: float, ranks) -> float:
    """Returns the standard deviation of fresh cores of a tensor train.

    With it, their product has the one given. An entry of the product is a sum of as many terms as the product of all
    ranks, each of `len(ranks) + 1` factors.

    Args:
        deviation: Standard deviation that the whole matrix is to have.
        ranks: Numbers of columns between the cores.

    Example:

    >>> tensor_train_deviation(0.01, [4])
    0.0707...
    """
    return (deviation / math.sqrt(math.prod(ranks))) ** (1 / (len(ranks) + 1))

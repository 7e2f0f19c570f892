"""A large matrix as a train of small cores: storage shrinks by orders of magnitude, arithmetic seldom does."""

import functools
import math

import numpy as np
import scipy.linalg

from keras_slim.errors import invalid_argument

DEPTH = 3
"""Cores of a train, where nothing says how many."""


def tensor_train(matrix: np.ndarray, inputs: tuple[int, ...], outputs: tuple[int, ...], ranks) -> list[np.ndarray]:
    """Returns the cores of a matrix as a tensor train (TT-SVD).

    Its rows and columns are counted in several digits. Entry `((i_1 ... i_d), (j_1 ... j_d))` of the matrix is the
    product of the matrices `core_k[:, i_k, j_k, :]`. Exact where no rank is cut. All cores have the same sum of
    squares, unless the matrix is zero: then all but the last are orthogonal, so that they can still learn.

    Args:
        matrix: Array of shape `(product of inputs, product of outputs)`.
        inputs: In how many values each digit of a row counts, the slowest first.
        outputs: The same for columns, as many.
        ranks: Most columns between two cores, one number for all or one for each of the places between them. More than
            `tensor_train_ranks` are of no use, and are not made.

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
    depth, owner = len(inputs), "tensor_train"
    shape = (math.prod(inputs), math.prod(outputs))
    if len(outputs) != depth or (np.ndim(ranks) and len(ranks) != depth - 1) or np.shape(matrix) != shape:
        expected = f"a matrix of shape {shape}, as many outputs as inputs, and {depth - 1} ranks"
        received = f"{np.shape(matrix)}, inputs {inputs}, outputs {outputs}, ranks {ranks}"
        raise ValueError(invalid_argument("matrix", owner, expected=expected, received=received))
    if not np.isfinite(matrix).all():
        raise ValueError(invalid_argument("matrix", owner, expected="finite", received="NaN or infinities"))
    cores, rest = [], unfoldable(matrix, inputs, outputs).reshape(1, -1)
    for number_in, number_out, rank in zip(inputs, outputs, tensor_train_ranks(inputs, outputs, ranks), strict=False):
        rest = rest.reshape(len(rest) * number_in * number_out, -1)
        left, values, right = scipy.linalg.svd(rest, full_matrices=False)
        cores.append(left[:, :rank].reshape(-1, number_in, number_out, rank))
        rest = values[:rank, None] * right[:rank]
    return _balanced([*cores, rest.reshape(-1, inputs[-1], outputs[-1], 1)])


def unfoldable(matrix: np.ndarray, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> np.ndarray:
    """Returns a matrix with an axis for each digit of its rows and columns, each of a row before its like."""
    depth = len(inputs)
    digits = np.asarray(matrix, float).reshape(*inputs, *outputs)
    return digits.transpose([axis + side * depth for axis in range(depth) for side in (0, 1)])


def train_product(cores: list[np.ndarray]) -> np.ndarray:
    """Returns the matrix that the cores of a tensor train stand for.

    Example:

    >>> matrix = np.random.rand(12, 20)
    >>> np.allclose(train_product(tensor_train(matrix, (3, 4), (4, 5), 12)), matrix)
    True
    """
    product = np.ones((1, 1, 1))
    for core in cores:
        rows, columns, _ = product.shape
        product = np.einsum("ijr,rmns->imjns", product, core)
        product = product.reshape(rows * core.shape[1], columns * core.shape[2], -1)
    return product[:, :, 0]


def tensor_train_ranks(inputs: tuple[int, ...], outputs: tuple[int, ...], ranks=math.inf) -> tuple[int, ...]:
    """Returns the ranks of a tensor train, no higher than can be of use.

    Args:
        inputs: As for `tensor_train`.
        outputs: As for `tensor_train`.
        ranks: One number for all places between cores, or one for each. Defaults to those with which every matrix of
            this shape is a train.

    Example:

    >>> tensor_train_ranks((3, 4, 5), (2, 2, 2)), tensor_train_ranks((3, 4, 5), (2, 2, 2), (3, 7))
    ((6, 10), (3, 7))
    """
    sizes = [number_in * number_out for number_in, number_out in zip(inputs, outputs, strict=True)]
    given = [ranks] * (len(sizes) - 1) if np.ndim(ranks) == 0 else ranks
    found = [1]
    for place, rank in enumerate(given, start=1):
        found.append(int(min(rank, found[-1] * sizes[place - 1], math.prod(sizes[place:]))))
    return tuple(found[1:])


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


@functools.cache
def balanced_factors(number: int, depth: int) -> tuple[int, ...]:
    """Returns factors of a number, rising, that are as near to one another as can be.

    Those of least sum; some are 1 if there are too few.

    Example:

    >>> balanced_factors(784, 3), balanced_factors(10, 3), balanced_factors(7, 2)
    ((7, 8, 14), (1, 2, 5), (1, 7))
    """
    if depth == 1:
        return (number,)
    most = math.ceil(number ** (1 / depth))  # of the least one
    firsts = (first for first in range(1, most + 1) if number % first == 0)
    ways = ((first, *balanced_factors(number // first, depth - 1)) for first in firsts)
    return tuple(sorted(min(ways, key=sum)))


def covering_factors(number: int, depth: int) -> tuple[int, ...]:
    """Returns numbers, rising and nearly alike, whose product is at least a number.

    With these, rows can be counted in digits whose number has no factors; some digits count none.

    Example:

    >>> covering_factors(10_007, 3)
    (21, 22, 22)
    """
    factors = [math.ceil(number ** (1 / depth))] * depth
    for index, side in enumerate(factors):
        if math.prod(factors) // side * (side - 1) >= number:
            factors[index] = side - 1
    return tuple(factors)


def _balanced(cores):
    """Returns cores, the same but for their scales, which are made alike."""
    norms = np.array([np.linalg.norm(core) for core in cores])
    if not norms.all():
        return cores
    return [core * (np.exp(np.log(norms).mean()) / norm) for core, norm in zip(cores, norms, strict=True)]

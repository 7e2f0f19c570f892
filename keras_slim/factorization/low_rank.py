"""A matrix as a product of two thin ones: the best for the matrix itself, or for what it is multiplied with."""

import functools

import numpy as np
import scipy.linalg

from keras_slim.errors import invalid_argument
from keras_slim.validation import check_count, check_share

# What is added to the Gram matrix, as a share of its mean diagonal, so that inputs that are always zero do not matter.
RIDGE = 1e-10

# From this many singular values on, they are those of the smaller Gram matrix of the matrix itself, which takes a third
# of the time and no second matrix of its size. Its eigenvectors are as orthogonal as others, so that products are exact
# at full rank all the same; singular values below 1e-8 of the largest are lost in rounding.
LARGE = 1024


class LowRank:
    """The singular values of a matrix, and its best factors of every rank.

    Without a Gram matrix, `first @ second` is the nearest matrix of its rank: the sum of squares that it misses is the
    tail of the squared singular values (Eckart and Young 1936). With the Gram matrix `X'X` of the inputs `X`, it is the
    best for these: `||X (W - first @ second)||^2` is that tail. With `X'X = L L'`, the singular values are those of
    `L'W = U S V'`, and the factors `L'^-1 U_r S_r^(1/2)` and `S_r^(1/2) V_r'`, but for the scale of each rank.

    Nothing is computed before it is asked for, and of large matrices only as many singular vectors as a rank needs.

    Args:
        matrix: Array of shape `(inputs, outputs)`.
        gram: Sum of `x x'` over the inputs, of shape `(inputs, inputs)`. Optional.

    Attributes:
        singular_values: Array of shape `(min(inputs, outputs),)`, falling.

    Raises:
        ValueError: If there are numbers that are not finite, or shapes do not fit.

    Example:

    >>> import numpy as np
    >>> matrix = np.outer([1.0, 2.0], [3.0, 4.0, 5.0])
    >>> first, second = LowRank(matrix).factors(1)
    >>> first.shape, second.shape, np.allclose(first @ second, matrix)
    ((2, 1), (1, 3), True)
    """

    def __init__(self, matrix: np.ndarray, gram: np.ndarray | None = None):
        matrix = _check_matrix(matrix)
        self._root = None if gram is None else _root(gram, len(matrix))
        self._seen = _weighed(self._root, matrix)

    @functools.cached_property
    def singular_values(self) -> np.ndarray:
        return singular_values(self._seen)

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the factors, of shapes `(inputs, rank)` and `(rank, outputs)`.

        Each column of the first is as long as the row of the second that it meets, whatever the scale of the inputs, so
        that their gradients are of one size, and numbers of few bits reach.

        Raises:
            ValueError: If the rank is not from 1 to the number of singular values.
        """
        most = min(self._seen.shape)
        if check_count(rank, "rank", "factors") > most:
            raise ValueError(invalid_argument("rank", "factors", expected=f"at most {most}", received=rank))
        left, values, right = _leading(self._seen, rank) if most > LARGE else self._svd
        roots = np.sqrt(values[:rank])
        first, second = left[:, :rank] * roots, roots[:, None] * right[:rank]
        return balanced(_unweighed(self._root, first), second)

    @functools.cached_property
    def _svd(self):
        return scipy.linalg.svd(self._seen, full_matrices=False)

    def lost(self) -> np.ndarray:
        """Returns the sum of squares that each rank misses, from rank 0 to the full one, which misses nothing."""
        squares = self.singular_values[::-1] ** 2
        return np.append(np.cumsum(squares)[::-1], 0.0)


class LowRankProduct:
    """The best factors of a product, weighed by what stands on both of its sides.

    With Gram matrices `X'X` and `Z'Z` it is `||X (first @ second - product) Z'||^2` that is least, the tail of the
    squared singular values of `L' first second K`, where `X'X = L L'` and `Z'Z = K K'`. These are the ones of a core
    that is no larger than the product is thin.

    Args:
        first: Array of shape `(inputs, inner)`; or several of these, one below the other, that read the same inputs.
        second: Array of shape `(inner, outputs)`.
        gram: Sum of `x x'` over the inputs. Optional.
        gram_behind: The same of what the outputs are multiplied with, of shape `(outputs, outputs)`. Optional.

    Attributes:
        core: The core, whose singular values they are.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> queries, keys = rng.normal(size=(20, 4)), rng.normal(size=(4, 30))
    >>> first, second = LowRankProduct(queries, keys).factors(4)
    >>> first.shape, second.shape, np.allclose(first @ second, queries @ keys)
    ((20, 4), (4, 30), True)
    """

    def __init__(self, first, second, gram=None, gram_behind=None):
        first, second = _check_matrix(first), _check_matrix(second)
        self._root = None if gram is None else _root(gram, len(gram))
        self._root_behind = None if gram_behind is None else _root(gram_behind, second.shape[1])
        self._before, before = scipy.linalg.qr(_weighed(self._root, first), mode="economic")
        self._behind, behind = scipy.linalg.qr(_weighed(self._root_behind, second.T), mode="economic")
        self.core = before @ behind.T
        self._found = LowRank(self.core)

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the factors, of shapes `(inputs, rank)` and `(rank, outputs)`, as `LowRank` does."""
        first, second = self._found.factors(rank)
        first = _unweighed(self._root, self._before @ first)
        return balanced(first, _unweighed(self._root_behind, self._behind @ second.T).T)

    def lost(self) -> np.ndarray:
        """Returns the sum of squares that each rank misses, from rank 0 to the full one, which misses nothing."""
        return self._found.lost()


def singular_values(matrix: np.ndarray) -> np.ndarray:
    """Returns all singular values of a matrix, falling.

    Those of large matrices, with more than 1,024 of them, are exact to 1e-8 of the largest.
    """
    if min(matrix.shape) <= LARGE:
        return scipy.linalg.svdvals(matrix)
    return np.sqrt(np.maximum(scipy.linalg.eigvalsh(_small_gram(matrix)), 0.0))[::-1]


def _small_gram(matrix):
    """Returns the Gram matrix of the rows or columns of a matrix, whichever are fewer."""
    return matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix


def _leading(matrix, rank):
    """Returns the first singular vectors and values of a large matrix: those at the left, values, those at the right.

    On the longer side they are what the matrix makes of the others, so that the product is a projection of the matrix,
    and exact at full rank.
    """
    size = min(matrix.shape)
    _, vectors = scipy.linalg.eigh(_small_gram(matrix), subset_by_index=(size - rank, size - 1))
    vectors = vectors[:, ::-1]
    is_wide = matrix.shape[0] < matrix.shape[1]
    others = matrix.T @ vectors if is_wide else matrix @ vectors
    values = np.linalg.norm(others, axis=0)
    others = np.divide(others, values, out=np.zeros_like(others), where=values > 0)
    return (vectors, values, others.T) if is_wide else (others, values, vectors.T)


def energy_rank(singular_values: np.ndarray, share: float) -> int:
    """Returns the least rank that keeps a share of the squared singular values.

    It is 0 if all are zero.

    Args:
        singular_values: Array of one axis, falling.
        share: Share to keep, above 0 and at most 1.

    Raises:
        ValueError: If the share is out of range.

    Example:

    >>> energy_rank(np.array([3.0, 1.0, 0.0]), 0.9)
    1
    """
    check_share(share, "share", "energy_rank", one=True)
    kept = np.cumsum(np.square(singular_values, dtype=float))
    if not len(kept) or not kept[-1]:
        return 0
    return int(np.argmax(kept >= share * kept[-1] * (1 - 1e-12))) + 1


def _check_matrix(matrix):
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        received = "NaN or infinities" if matrix.ndim == 2 else f"shape {matrix.shape}"
        raise ValueError(invalid_argument("matrix", "LowRank", expected="finite, of two axes", received=received))
    return matrix


def _root(gram, size):
    """Returns the Cholesky factor of a Gram matrix, with a little added to its diagonal."""
    gram = np.asarray(gram, float)
    if gram.shape != (size, size) or not np.isfinite(gram).all():
        expected = f"finite, of shape {(size, size)}, as the matrix has {size} inputs"
        received = gram.shape if gram.shape != (size, size) else "NaN or infinities"
        raise ValueError(invalid_argument("gram", "LowRank", expected=expected, received=received))
    mean = np.trace(gram) / size
    return np.linalg.cholesky(gram + (RIDGE * mean or 1.0) * np.eye(size))


def _weighed(root, matrix):
    """Returns what the root of a Gram matrix makes of a matrix, or of several, one below the other."""
    return matrix if root is None else _by_blocks(lambda blocks: root.T @ blocks, root, matrix)


def _unweighed(root, matrix):
    """Returns the matrix of which `_weighed` makes another."""
    if root is None:
        return matrix
    return _by_blocks(lambda blocks: scipy.linalg.solve_triangular(root, blocks, lower=True, trans="T"), root, matrix)


def _by_blocks(function, root, matrix):
    """Returns what a function makes of blocks of rows, which it gets side by side."""
    blocks = matrix.reshape(-1, len(root), matrix.shape[1])
    beside = function(blocks.transpose(1, 0, 2).reshape(len(root), -1))
    return beside.reshape(len(root), len(blocks), -1).transpose(1, 0, 2).reshape(matrix.shape)


def balanced(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns factors of the same product, of which columns and the rows that they meet are of one length."""
    lengths = [np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1)]
    scale = np.sqrt(np.divide(lengths[1], lengths[0], out=np.ones_like(lengths[0]), where=lengths[0] > 0))
    scale[scale == 0] = 1.0
    return first * scale, second / scale[:, None]

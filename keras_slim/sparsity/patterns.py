"""Which weights go together when single weights are pruned: each alone, in blocks, or so many of each few."""

import numpy as np

from keras_slim.identifiers import Registry
from keras_slim.validation import check_choice, check_count


class Pattern:
    """What is removed at once, and in which order.

    `pool` turns the magnitudes of a kernel into scores, one for each thing that is removed at once; the lowest go
    first. `spread` turns what is kept of them into a mask.
    """

    alias = ""
    sparsity: float | None = None
    """The only share of zeros that a kernel can have in the end; `None` if it can have any."""

    def pool(self, magnitudes: np.ndarray) -> np.ndarray:
        """Returns a score for each thing that is removed at once; the lowest go first.

        Args:
            magnitudes: Array of the shape of a kernel; minus infinity where a weight is gone already.
        """
        raise NotImplementedError

    def spread(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the mask, booleans of `shape`, given booleans of the shape that `pool` has returned."""
        raise NotImplementedError

    def get_config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Pattern":
        return cls(**config)


patterns = Registry("pattern", Pattern)


@patterns.register("single")
class Single(Pattern):
    """Removes each weight on its own.

    Example:

    >>> Single().pool(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """

    def pool(self, magnitudes):
        return magnitudes

    def spread(self, kept, shape):
        return kept


@patterns.register("block")
class Block(Pattern):
    """Removes blocks of weights, which some kernels can skip.

    A kernel is taken as a matrix: all axes but the last are its rows, the last one its columns. Blocks at the edges may
    be smaller.

    Args:
        rows: Rows of a block.
        columns: Columns of a block.
        pooling: `"mean"` or `"max"`, how magnitudes of a block make its score.

    Example:

    >>> pattern = Block(2, 1)
    >>> pattern.pool(np.array([[1.0, 0.0], [3.0, 0.0]]))
    array([[2., 0.]])
    >>> pattern.spread(np.array([[True, False]]), (2, 2))
    array([[ True, False],
           [ True, False]])
    """

    def __init__(self, rows: int = 4, columns: int = 1, pooling: str = "mean"):
        owner = type(self).__name__
        self.rows = check_count(rows, "rows", owner)
        self.columns = check_count(columns, "columns", owner)
        self.pooling = check_choice(pooling, "pooling", owner, ("mean", "max"))

    def pool(self, magnitudes):
        matrix = _as_matrix(magnitudes)
        largest = self._over_blocks(np.maximum, matrix)
        if self.pooling == "max":
            return largest
        means = self._over_blocks(np.add, np.maximum(matrix, 0)) / self._sizes(matrix.shape)
        return np.where(np.isneginf(largest), largest, means)  # blocks that are gone as a whole go first

    def spread(self, kept, shape):
        matrix = np.repeat(np.repeat(kept, self.rows, axis=0), self.columns, axis=1)
        rows, columns = _as_matrix(np.empty(shape)).shape
        return matrix[:rows, :columns].reshape(shape)

    def get_config(self):
        return {"rows": self.rows, "columns": self.columns, "pooling": self.pooling}

    def _over_blocks(self, function, matrix):
        """Returns what a function of two numbers, applied again and again, makes of each block."""
        for axis, step in enumerate((self.rows, self.columns)):
            matrix = function.reduceat(matrix, np.arange(0, matrix.shape[axis], step), axis=axis)
        return matrix

    def _sizes(self, shape):
        """Returns the number of weights in each block."""
        along = [
            np.minimum(step, size - np.arange(0, size, step))
            for size, step in zip(shape, (self.rows, self.columns), strict=True)
        ]
        return np.outer(*along)


@patterns.register("n_of_m")
class NOfM(Pattern):
    """Keeps at most `n` of each `m` weights in a row, as some processors want it.

    They follow each other along all axes of a kernel but the last, which are the inputs of an output unit in dense
    layers and convolutions; in transposed convolutions and in attention they are not. The sparsity to ask
    for is `1 - n / m`, its attribute `sparsity`. On the way there, weights go evenly from all groups.

    Args:
        n: Number of weights that are kept.
        m: Of how many.

    Example:

    >>> pattern = NOfM(2, 4)
    >>> scores = pattern.pool(np.array([[1.0], [4.0], [3.0], [2.0]]))
    >>> (scores >= np.median(scores)).ravel()
    array([False,  True,  True, False])
    """

    def __init__(self, n: int = 2, m: int = 4):
        owner = type(self).__name__
        self.m = check_count(m, "m", owner, minimum=2)
        self.n = check_choice(check_count(n, "n", owner), "n", owner, tuple(range(1, self.m)))
        self.sparsity = 1 - self.n / self.m

    def pool(self, magnitudes):
        """Returns minus the place in the order of each group, magnitudes deciding between those of one place."""
        matrix = _as_matrix(magnitudes)
        missing = -len(matrix) % self.m
        padded = np.pad(matrix, ((0, missing), (0, 0)), constant_values=-1.0)
        groups = padded.reshape(-1, self.m, matrix.shape[1])
        places = np.argsort(np.argsort(-groups, axis=1, kind="stable"), axis=1, kind="stable")
        within = groups / (2 * max(float(matrix.max(initial=0)), np.finfo("float32").tiny))
        return (within - places).reshape(padded.shape)[: len(matrix)].reshape(magnitudes.shape)

    def spread(self, kept, shape):
        return kept

    def get_config(self):
        return {"n": self.n, "m": self.m}


def _as_matrix(array):
    return array.reshape(-1, array.shape[-1])

"""A matrix as a tensor train, with what `Scheme` says of other products."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from keras_slim.factorization.schemes import Decomposition, tried
from keras_slim.factorization.tensor_train import (
    DEPTH,
    balanced_factors,
    covering_factors,
    tensor_train,
    tensor_train_ranks,
    train_product,
    unfoldable,
)


@dataclasses.dataclass(frozen=True)
class Train:
    """A matrix as a tensor train.

    Args:
        cores: As `tensor_train` returns them.
        rows: Rows of the matrix; those behind them are spare.
    """

    cores: list[np.ndarray]
    rows: int

    def product(self) -> np.ndarray:
        """Returns the matrix."""
        return train_product(self.cores)[: self.rows]


@dataclasses.dataclass(frozen=True)
class TrainScheme(Decomposition):
    """The tensor train of a matrix with `DEPTH` cores, of balanced digits.

    The methods are those of `Scheme`. A Gram matrix says what is lost, but the cores are the best for the matrix, one
    after the other.

    Args:
        has_spare_rows: Whether the digits of rows may count further than there are rows, as those of a table do.
    """

    has_spare_rows: bool = False

    name = "tensor_train"

    def num_ranks(self) -> int:
        return DEPTH - 1

    def digits(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Returns in how many values each digit of rows and columns counts."""
        rows, columns = shape
        factors = covering_factors if self.has_spare_rows else balanced_factors
        return factors(rows, DEPTH), balanced_factors(columns, DEPTH)[::-1]

    def full(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tensor_train_ranks(*self.digits(shape))

    def within(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> tuple[int, ...]:
        return tensor_train_ranks(*self.digits(shape), ranks)

    def size(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
        ends = (1, *ranks, 1)
        sizes = (number_in * number_out for number_in, number_out in zip(*self.digits(shape), strict=True))
        return sum(ends[index] * size * ends[index + 1] for index, size in enumerate(sizes))

    def fit(self, kernel: np.ndarray, ranks: tuple[int, ...], gram: np.ndarray | None = None) -> Train:
        cores = tensor_train(self._padded(kernel), *self.digits(kernel.shape), ranks)
        return Train(cores, len(kernel))

    def lost(self, kernel: np.ndarray, gram: np.ndarray | None = None) -> Iterator[tuple[tuple[int, ...], float]]:
        """Yields ranks, and the share of the matrix's sum of squares that is lost, of spare rows too."""
        energy = float((kernel**2).sum()) or 1.0
        first, *_ = self.unfoldings(kernel)
        _, values, right = np.linalg.svd(first, full_matrices=False)
        tail = np.append(np.cumsum(values[::-1] ** 2)[::-1], 0.0)
        for rank in tried(len(values)):
            rest = (values[:rank, None] * right[:rank]).reshape(-1, self._last_columns(kernel.shape))
            squares = np.linalg.svd(rest, compute_uv=False) ** 2
            behind = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
            for last in range(1, len(behind)):
                yield (rank, last), (tail[rank] + behind[last]) / energy

    def unfoldings(self, kernel: np.ndarray) -> list[np.ndarray]:
        digits = unfoldable(self._padded(kernel), *self.digits(kernel.shape))
        return [digits.reshape(math.prod(digits.shape[: 2 * place]), -1) for place in range(1, DEPTH)]

    def _padded(self, kernel):
        inputs, _ = self.digits(kernel.shape)
        return np.pad(kernel, [(0, math.prod(inputs) - len(kernel)), (0, 0)])

    def _last_columns(self, shape):
        inputs, outputs = self.digits(shape)
        return inputs[-1] * outputs[-1]

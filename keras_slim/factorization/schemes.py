"""The products that a kernel can be written as, and the best factors of each for the inputs it sees.

A kernel of shape `(*positions, inputs, outputs)` becomes up to three: one that mixes inputs, along some of the position
axes or none, one along the other axes, and one that makes the outputs. A dense kernel has no positions.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg

from keras_slim.factorization.low_rank import RIDGE, LowRank, balanced

GRID = 8
"""How many ranks of a first factor are tried, where each wants a fit of its own."""


@dataclasses.dataclass(frozen=True)
class Factors:
    """A kernel as a product; `None` where there is no such factor.

    Args:
        first: Array of shape `(*positions, inputs, rank)`, 1 long along each axis that is left to the second.
        second: Array of shape `(*positions, inputs or rank, outputs or rank)`.
        last: Array of shape `(rank, outputs)`.
    """

    first: np.ndarray | None
    second: np.ndarray
    last: np.ndarray | None

    def product(self) -> np.ndarray:
        """Returns the kernel that they make, of shape `(*positions, inputs, outputs)`."""
        kernel = self.second if self.last is None else self.second @ self.last
        return kernel if self.first is None else self.first @ kernel

    def scaled(self, scale: np.ndarray) -> "Factors":
        """Returns the factors of the kernel whose outputs are multiplied with `scale`."""
        if self.last is None:
            return dataclasses.replace(self, second=self.second * scale)
        second, last = balanced(self.second.reshape(-1, len(self.last)), self.last * scale)
        return Factors(self.first, second.reshape(self.second.shape), last)


class Decomposition:
    """A way to write a kernel as something of fewer numbers; derive from it, and define `fit`."""

    def fit(self, kernel: np.ndarray, ranks: tuple[int, ...], gram: np.ndarray | None = None) -> Any:
        """Returns what stands for a kernel, with a method `product` that returns the kernel it makes."""
        raise NotImplementedError

    def lost_at(self, kernel: np.ndarray, ranks: tuple[int, ...], gram: np.ndarray | None = None) -> float:
        """Returns the share of the response's sum of squares that is lost with some ranks."""
        whole = _Weighed(kernel, gram)
        return whole.missed(self.fit(kernel, ranks, gram).product()) / whole.energy()


@dataclasses.dataclass(frozen=True)
class Scheme(Decomposition):
    """One way to write a kernel as a product.

    Args:
        name: What it is called.
        along: How many of the position axes, from the first on, the first factor has; `None` if there is none.
        has_last: Whether there is a last factor.
    """

    name: str
    along: int | None
    has_last: bool

    def fits(self, num_positions: int) -> bool:
        """Tells whether kernels with so many position axes can be written so, and not as another scheme already."""
        if self.along is None:
            return True
        return num_positions > self.along if self.along else num_positions > 0

    def num_ranks(self) -> int:
        return (self.along is not None) + self.has_last

    def full(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the highest ranks of a kernel of this shape; with these, the product is exact."""
        *positions, inputs, outputs = shape
        ranks, width = [], inputs
        if self.along is not None:
            width = min(math.prod(positions[: self.along]) * inputs, math.prod(positions[self.along :]) * outputs)
            ranks.append(width)
        if self.has_last:
            ranks.append(min(math.prod(positions[self.along or 0 :]) * width, outputs))
        return tuple(ranks)

    def within(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> tuple[int, ...]:
        """Returns ranks, as many as it has, no higher than can be: the last factor reads what the first one leaves."""
        ranks = tuple(map(min, ranks, self.full(shape)))
        if self.num_ranks() < 2:
            return ranks
        first, last = ranks
        return first, min(last, math.prod(shape[self.along : -2]) * first)

    def shapes(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Returns the shapes of the factors there are, in their order, each with all position axes."""
        *positions, inputs, outputs = shape
        left, found = list(ranks), []
        if self.along is not None:
            rank = left.pop(0)
            found.append((*positions[: self.along], *[1] * (len(positions) - self.along), inputs, rank))
            positions, inputs = [*[1] * self.along, *positions[self.along :]], rank
        if self.has_last:
            (rank,) = left
            return [*found, (*positions, inputs, rank), (*[1] * len(positions), rank, outputs)]
        return [*found, (*positions, inputs, outputs)]

    def size(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
        """Returns the elements of all factors."""
        return sum(math.prod(each) for each in self.shapes(shape, ranks))

    def fit(self, kernel: np.ndarray, ranks: tuple[int, ...], gram: np.ndarray | None = None) -> Factors:
        """Returns the factors of a kernel.

        The first is the best of its rank for what each place of the others reads on average; those behind it are the
        optimum given the first. With a last factor alone the product is the optimum.

        Args:
            kernel: Array of shape `(*positions, inputs, outputs)`.
            ranks: As many as the scheme has, in the order of the factors.
            gram: Sum of `x x'` over the patches that the kernel reads, flat in the order of its axes. Optional.
        """
        first, begun = self._begun(kernel, None if self.along is None else ranks[0], gram, self._found(kernel, gram))
        if not self.has_last:
            return Factors(first, begun.kernel, None)
        second, last = begun.low_rank().factors(ranks[-1])
        return Factors(first, second.reshape(*begun.kernel.shape[:-1], -1), last)

    def lost(self, kernel: np.ndarray, gram: np.ndarray | None = None) -> Iterator[tuple[tuple[int, ...], float]]:
        """Yields ranks, and the share of the response's sum of squares that is lost with them.

        Where a first factor has to be fitted, some of its ranks are tried; of others, all are.
        """
        whole = _Weighed(kernel, gram)
        energy = whole.energy()
        found = self._found(kernel, gram)
        firsts: list = [None]
        if self.along is not None:
            (most, *_) = self.full(kernel.shape)
            firsts = tried(most)
        for rank in firsts:
            first, begun = self._begun(kernel, rank, gram, found)
            missed = 0.0 if first is None else whole.missed(Factors(first, begun.kernel, None).product())
            ranks = () if rank is None else (rank,)
            if not self.has_last:
                yield ranks, missed / energy
                continue
            tail = begun.low_rank().lost()
            for last in range(1, len(tail)):
                yield (*ranks, last), (missed + tail[last]) / energy

    def unfoldings(self, kernel: np.ndarray) -> list[np.ndarray]:
        """Returns the matrix whose rank each of its ranks is, were there no other."""
        found = [self._unfolded(kernel)] if self.along is not None else []
        return [*found, kernel.reshape(-1, kernel.shape[-1])] if self.has_last else found

    def _unfolded(self, kernel):
        """Returns the matrix of which the first factor is one."""
        *positions, inputs, outputs = kernel.shape
        before, behind = math.prod(positions[: self.along]), math.prod(positions[self.along :])
        unfolded = kernel.reshape(before, behind, inputs, outputs).transpose(0, 2, 1, 3)
        return unfolded.reshape(before * inputs, behind * outputs)

    def _found(self, kernel, gram):
        """Returns the `LowRank` that first factors of all ranks are taken from, if there is such a factor."""
        if self.along is None:
            return None
        if gram is not None:
            *positions, inputs, _ = kernel.shape
            before, behind = math.prod(positions[: self.along]), math.prod(positions[self.along :])
            gram = _mean_over(gram, before, behind, inputs)
        return LowRank(self._unfolded(kernel), gram)

    def _begun(self, kernel, rank, gram, found):
        """Returns the first factor of a rank, and the kernel that is best behind it with the Gram matrix it has."""
        weighed = _Weighed(kernel, gram)
        if rank is None:
            return None, weighed
        *positions, inputs, outputs = kernel.shape
        before, behind = math.prod(positions[: self.along]), math.prod(positions[self.along :])
        first, second = found.factors(rank)
        shape = [*positions[: self.along], *[1] * (len(positions) - self.along), inputs, rank]
        rest = second.reshape(rank, behind, outputs).transpose(1, 0, 2)
        if gram is not None:
            # what the places behind it read is linear in the patch, for each of them by itself
            core = first.reshape(before, inputs, rank)
            read = np.tensordot(gram.reshape(-1, before, behind, inputs), core, ((1, 3), (0, 1)))
            read = read.reshape(-1, behind * rank)
            gram = np.tensordot(read.reshape(before, behind, inputs, -1), core, ((0, 2), (0, 1)))
            gram = gram.transpose(0, 2, 1).reshape(behind * rank, behind * rank)
            ridge = (RIDGE * np.trace(gram) / len(gram) or 1.0) * np.eye(len(gram))
            wanted = read.T @ kernel.reshape(-1, outputs) + ridge @ rest.reshape(-1, outputs)
            rest = scipy.linalg.solve(gram + ridge, wanted, assume_a="pos")
        elif self.has_last:
            gram = np.kron(np.eye(behind), first.reshape(-1, rank).T @ first.reshape(-1, rank))
        kept = [*[1] * self.along, *positions[self.along :]]
        return first.reshape(shape), _Weighed(rest.reshape(*kept, rank, outputs), gram)


class _Weighed:
    """A kernel, and the Gram matrix of what it reads; `None` weighs all of it alike."""

    def __init__(self, kernel, gram):
        self.kernel = kernel
        self._gram = gram

    def low_rank(self):
        return LowRank(self._flat(self.kernel), self._gram)

    def energy(self):
        """Returns the sum of squares of the response, never 0."""
        return self._squares(self._flat(self.kernel)) or 1.0

    def missed(self, product):
        """Returns the sum of squares of the response that another kernel misses."""
        return self._squares(self._flat(self.kernel) - self._flat(product))

    def _squares(self, matrix):
        return float((matrix**2).sum() if self._gram is None else np.vdot(matrix, self._gram @ matrix))

    def _flat(self, kernel):
        return kernel.reshape(-1, kernel.shape[-1])


def tried(most: int) -> list[int]:
    """Returns the ranks that are tried where each wants a fit of its own, up to the highest one, rising."""
    return sorted({max(1, round(most * 2 ** (-step / 2))) for step in range(GRID)})


def _mean_over(gram, before, behind, inputs):
    """Returns the Gram matrix of what the first factor reads, the mean over the places that read it."""
    blocks = gram.reshape(before, behind, inputs, before, behind, inputs)
    return np.einsum("apibpj->aibj", blocks).reshape(before * inputs, before * inputs) / behind


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("channel", None, True),
        Scheme("mirrored", 0, False),
        Scheme("spatial", 1, False),
        Scheme("tucker", 0, True),
    )
}

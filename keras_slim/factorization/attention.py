"""Attention with several heads as the same with smaller ones: scores and values as products of fewer numbers."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from keras_slim.factorization.low_rank import LowRankProduct

MOST_TRIED = 64
"""How many ranks of scores, and of values, are tried at most."""


@dataclasses.dataclass(frozen=True)
class Heads:
    """The kernels of attention, head by head.

    The score of a query `x` and a key `y` is `x query[:, h] key[:, g]' y'`, and what a head makes of a value `z` is
    `z value[:, g] output[h]`. As many heads as `heads / groups`, one after the other, share a group's key and value;
    there are as many groups as heads, unless attention is grouped.

    Args:
        query: Array of shape `(inputs, heads, key_dim)`; a bias is its last row.
        key: Array of shape `(inputs, groups, key_dim)`.
        value: Array of shape `(inputs, groups, value_dim)`.
        output: Array of shape `(heads, value_dim, outputs)`.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Heads, groups, what queries, keys and values read, `key_dim`, `value_dim` and outputs."""
        (queries, heads, key_dim), (keys, groups, _) = self.query.shape, self.key.shape
        return heads, groups, queries, keys, self.value.shape[0], key_dim, *self.output.shape[1:]

    def padded(self, key_dim: int, value_dim: int) -> "Heads":
        """Returns the same with heads as wide as is wanted, by zeros."""

        def wider(array, axis, size):
            return np.pad(array, [(0, size - n if number == axis else 0) for number, n in enumerate(array.shape)])

        return Heads(
            wider(self.query, 2, key_dim),
            wider(self.key, 2, key_dim),
            wider(self.value, 2, value_dim),
            wider(self.output, 1, value_dim),
        )

    def of_scores(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the product that the scores of a group are, its heads one below the other."""
        queries = self.query[:, self._heads(group)].transpose(1, 0, 2)
        return queries.reshape(-1, queries.shape[-1]), self.key[:, group].T

    def of_values(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the product that makes outputs of values in a group, its heads one beside the other."""
        output = self.output[self._heads(group)].transpose(1, 0, 2)
        return self.value[:, group], output.reshape(len(output), -1)

    def _heads(self, group):
        size = self.query.shape[1] // self.key.shape[1]
        return slice(group * size, (group + 1) * size)


@dataclasses.dataclass(frozen=True)
class SmallerHeads:
    """The way to write attention with heads of fewer numbers.

    It has the methods of a `Scheme`, with `Heads` for a kernel. One rank is for all heads. The product of a head's
    query and key is cut to one, weighed by queries and by keys; that of its value and output to another one, weighed by
    values. Two heads attend alike if their scores differ by what is the same for all keys, so that the mean of keys
    does not count. Nor does that of values, if a bias makes up for it.

    Args:
        has_bias: Whether there are biases. That of queries is the last row of their kernel.
        is_tied: Whether keys and values are as wide, so that there is one rank.
        cuts_values: Whether values become smaller too.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> heads = Heads(*(rng.normal(size=size) for size in [(17, 2, 8), (16, 2, 8), (16, 2, 8), (2, 8, 16)]))
    >>> SmallerHeads().fit(heads, (3, 5)).shape
    (2, 2, 17, 16, 16, 3, 5, 16)
    """

    has_bias: bool = True
    is_tied: bool = False
    cuts_values: bool = True
    name = "attention"

    def num_ranks(self) -> int:
        return 2 if self.cuts_values and not self.is_tied else 1

    def dims(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> tuple[int, int]:
        """Returns `key_dim` and `value_dim` with some ranks."""
        if self.is_tied:
            return ranks[0], ranks[0]
        return (ranks[0], ranks[1] if self.cuts_values else shape[6])

    def full(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the highest ranks for `Heads` of this shape; with these, the product is exact."""
        heads, groups, queries, keys, values, key_dim, value_dim, outputs = shape
        key, value = min(heads // groups * queries, keys, key_dim), min(values, value_dim, heads // groups * outputs)
        if self.is_tied:
            return (max(key, value),)
        return (key, value) if self.cuts_values else (key,)

    def within(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> tuple[int, ...]:
        """Returns ranks no higher than can be."""
        return tuple(map(min, ranks, self.full(shape)))

    def size(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
        """Returns the elements of all kernels, and of the biases of queries, keys and values."""
        key_dim, value_dim = self.dims(shape, ranks)
        heads, groups, queries, keys, values, _, _, outputs = shape
        biases = groups * self.has_bias
        return key_dim * (heads * queries + groups * keys + biases) + value_dim * (
            groups * values + heads * outputs + biases
        )

    def fit(self, kernel: Heads, ranks: tuple[int, ...], gram: tuple | None = None) -> Heads:
        """Returns the `Heads` of some ranks.

        Args:
            kernel: The `Heads`.
            ranks: As many as it has.
            gram: Sums of `x x'` over what queries, keys and values read, about means that do not count. What queries
                read has a 1 behind it, if there are biases. Optional.
        """
        heads, groups, queries, _, _, _, _, outputs = kernel.shape
        scores, values = self._products(kernel, gram)
        key_dim, value_dim = self.dims(kernel.shape, ranks)
        by_group = np.zeros((heads // groups, queries, groups, key_dim))
        key = np.zeros((kernel.key.shape[0], groups, key_dim))
        for group, product in enumerate(scores):
            first, second = product.factors(min(key_dim, len(product.core), len(product.core.T)))
            by_group[:, :, group, : len(second)] = first.reshape(heads // groups, queries, -1)
            key[:, group, : len(second)] = second.T
        query = by_group.transpose(1, 2, 0, 3).reshape(queries, heads, key_dim)
        if not self.cuts_values:
            return Heads(query, key, kernel.value, kernel.output)
        value = np.zeros((kernel.value.shape[0], groups, value_dim))
        output = np.zeros((groups, value_dim, heads // groups, outputs))
        for group, product in enumerate(values):
            first, second = product.factors(min(value_dim, len(product.core), len(product.core.T)))
            value[:, group, : len(second)] = first
            output[group, : len(second)] = second.reshape(len(second), -1, outputs)
        return Heads(query, key, value, output.transpose(0, 2, 1, 3).reshape(heads, value_dim, outputs))

    def lost(self, kernel: Heads, gram: tuple | None = None) -> Iterator[tuple[tuple[int, ...], float]]:
        """Yields ranks, and the share of the response's sum of squares that is lost with them.

        It is as if scores and values were two layers, one behind the other, which lose their shares.
        """
        tails = self._tails(kernel, gram)
        for ranks in itertools.product(*map(_tried, self.full(kernel.shape))):
            yield ranks, self._lost(kernel, tails, ranks)

    def lost_at(self, kernel: Heads, ranks: tuple[int, ...], gram: tuple | None = None) -> float:
        """Returns the share of the response's sum of squares that is lost with some ranks."""
        return self._lost(kernel, self._tails(kernel, gram), ranks)

    def unfoldings(self, kernel: Heads) -> list[np.ndarray]:
        """Returns for each of its ranks the matrices whose rank it is, one for each group, stacked."""
        found = [np.stack([product.core for product in each]) for each in self._products(kernel, None)]
        if self.is_tied:
            rows, columns = np.max([each.shape[1:] for each in found], axis=0)
            pads = [(rows - each.shape[1], columns - each.shape[2]) for each in found]
            padded = [np.pad(each, [(0, 0), *((0, n) for n in pad)]) for each, pad in zip(found, pads, strict=True)]
            return [np.concatenate(padded)]
        return found[: self.num_ranks()]

    def _products(self, kernel, gram):
        """Returns the products of scores and of values, group by group."""
        queries, keys, values = (None, None, None) if gram is None else gram
        groups = range(kernel.shape[1])
        return (
            [LowRankProduct(*kernel.of_scores(group), queries, keys) for group in groups],
            [LowRankProduct(*kernel.of_values(group), values) for group in groups],
        )

    def _tails(self, kernel, gram):
        """Returns the shares that are lost of scores and of values, by rank, over all groups."""
        sums = [sum(product.lost() for product in each) for each in self._products(kernel, gram)]
        return [each / (each[0] or 1.0) for each in sums]

    def _lost(self, kernel, tails, ranks):
        dims = self.dims(kernel.shape, ranks)
        scores, values = (tail[min(rank, len(tail) - 1)] for tail, rank in zip(tails, dims, strict=True))
        return float(1 - (1 - scores) * (1 - values))


def _tried(most):
    """Returns the ranks to try, all if these are not too many."""
    return sorted({round(float(each)) for each in np.linspace(1, most, min(most, MOST_TRIED))})

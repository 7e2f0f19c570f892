"""Arrays whose blocks have few patterns: a codebook of patterns, and one code for each block.

Whether an array is such a one, and how it is cut, is seen from the array itself. Patterns that are used in some rows of
blocks only, from one row to another, are numbered from there on: so each codebook of a kernel has codes of its own.
"""

import dataclasses

import numpy as np

from keras_slim.coding.blocks import Cut, find_patterns
from keras_slim.coding.entropy import information

MOST_SIZE = 64
_MOST_CODES = 256
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MOST_ROWS, _MOST_COLUMNS = 4096, 512  # that are looked at for the size of blocks


@dataclasses.dataclass(frozen=True)
class SharedBlocks:
    """An array as patterns and codes.

    Args:
        cut: How it is cut.
        lengths: How many rows of blocks each codebook is for.
        sizes: How many patterns each codebook has, 256 at most.
        patterns: The patterns of all codebooks, one behind the other, as bit patterns.
        codes: Of each block that is not all zeros, row by row, the number of its pattern in its codebook.
    """

    cut: Cut
    lengths: np.ndarray
    sizes: np.ndarray
    patterns: np.ndarray
    codes: np.ndarray

    @property
    def bits(self) -> int:
        """Bits that tell which of the patterns of its codebook a block has."""
        return max(0, int(self.sizes.max(initial=1)) - 1).bit_length()

    @property
    def cost(self) -> float:
        """Bits that codes and patterns take, about."""
        return information(np.bincount(self.codes)) + 8 * self.patterns.nbytes

    def array(self, kept: np.ndarray) -> np.ndarray:
        """Returns the array of bit patterns, given which of its elements are not zero."""
        blocks = np.zeros((self.cut.rows, self.cut.columns, self.cut.size), self.patterns.dtype)
        live, row = _live(self.cut(kept))
        firsts = np.repeat(np.cumsum(self.sizes) - self.sizes, self.lengths)
        blocks[live] = self.patterns[firsts[row] + self.codes]
        return np.where(kept, self.cut.join(blocks), np.zeros((), blocks.dtype))

    def check(self, kept: np.ndarray) -> None:
        """Raises `ValueError` if the parts do not go together."""
        if len(self.lengths) != len(self.sizes) or self.lengths.sum() != self.cut.rows:
            raise ValueError("the codebooks do not add up to the rows of blocks")
        _, row = _live(self.cut(kept))
        if (self.codes >= np.repeat(self.sizes, self.lengths)[row]).any():
            raise ValueError("a code lies outside its codebook")


def find_shared_blocks(array: np.ndarray) -> SharedBlocks | None:
    """Returns an array as the patterns of its blocks and codes, as that takes least; `None` where it does not pay.

    Args:
        array: Array of any shape and dtype.
    """
    if array.ndim < 2 or array.itemsize not in (2, 4, 8) or array.size < 2 * _MOST_CODES:
        return None
    items = np.ascontiguousarray(array).view(f"u{array.itemsize}")
    cuts = [Cut(array.shape, 1, within_rows) for within_rows in (False, True)]
    sized = [dataclasses.replace(cut, size=_size(cut(items)[:, :, 0])) for cut in cuts]
    found = [_shared(items, cut) for cut in sized if 1 < cut.size <= MOST_SIZE]
    return min((each for each in found if each is not None), key=lambda each: each.cost, default=None)


def _size(matrix):
    """Returns the size of the blocks of which columns may be made: what divides all places where one must end.

    Inside a block, one number tells the next. Where far more pairs follow one another than there are numbers, one ends.
    """
    some = matrix[:_MOST_ROWS, :: max(1, matrix.shape[1] // _MOST_COLUMNS)]
    first, second = some[:-1], some[1:]
    both = (first != 0) & (second != 0)
    pairs = (first.astype("uint64") * _ODD) ^ second.astype("uint64") * _ODD * _ODD
    numbers, others, pairs = (_num_different(np.where(both, each, 0)) for each in (first, second, pairs))
    ends = 1 + np.flatnonzero(pairs > 1.1 * np.maximum(numbers, others))
    return int(np.gcd.reduce(ends)) if ends.size else len(matrix)


def _num_different(matrix):
    """Returns how many different numbers other than zero each row has."""
    matrix = np.sort(matrix, axis=1)
    return np.count_nonzero(np.diff(matrix, axis=1, prepend=0), axis=1)


def _shared(items, cut):
    """Returns bit patterns as the patterns of their blocks in one cut, `None` if these are hardly fewer than blocks."""
    blocks = cut(items)
    live, row = _live(blocks)
    if not len(row):
        return None
    found = find_patterns(blocks[live], min(len(row) // 2, _MOST_CODES * cut.rows))  # a row has one codebook at most
    if found is None:
        return None
    patterns, codes = found
    row_of = np.full((2, len(patterns)), -1)  # the first and the last row of each pattern
    row_of[1, codes] = row  # rows ascend
    row_of[0, codes[::-1]] = row[::-1]
    steps = np.bincount(row_of[0], minlength=cut.rows + 1) - np.bincount(row_of[1], minlength=cut.rows + 1)
    begins = np.r_[True, np.cumsum(steps)[: cut.rows - 1] == 0]  # no pattern goes on from the row before
    book_of = np.cumsum(begins)[row_of[0]] - 1
    sizes = np.bincount(book_of, minlength=np.count_nonzero(begins))
    if sizes.max() > _MOST_CODES:
        return None
    order = np.lexsort((-np.bincount(codes), book_of))  # in each codebook the most frequent first
    places = np.empty(len(patterns), "int64")
    places[order] = np.arange(len(patterns)) - (np.cumsum(sizes) - sizes)[book_of[order]]
    lengths = np.diff(np.r_[np.flatnonzero(begins), cut.rows])
    return SharedBlocks(cut, lengths, sizes, patterns[order], places[codes].astype("uint8"))


def _live(blocks):
    """Returns which blocks are not all zeros, and the row of each of these."""
    live = blocks.any(axis=2)
    return live, np.nonzero(live)[0]

"""Arrays cut into blocks of consecutive numbers, and the few patterns that stand for many blocks.

A block is a run of inputs of one output: of a kernel of shape `(*positions, inputs, outputs)`, numbers that follow one
another position by position, then input by input. So nine numbers of a 3x3 kernel are one plane of a filter. A table of
vectors, such as an embedding, is cut within its rows.
"""

import dataclasses
import itertools
import math

import numpy as np

_ODD = 0x9E3779B97F4A7C15  # an odd number without a pattern in its bits, for hashes
_MOST_PARTIAL = 1 << 16
_MOST_CANDIDATES = 8  # that have one number of a block, looked at for each number


@dataclasses.dataclass(frozen=True)
class Cut:
    """How an array is cut into blocks.

    Args:
        shape: Shape of the array, of two axes or more.
        size: Numbers in a block. Where they do not divide the width, the last block is shorter: it is padded with
            zeros.
        within_rows: Whether a block lies along the last axis, not along the inputs.

    Example:

    >>> kernel = np.arange(8).reshape(4, 2)
    >>> Cut((4, 2), 2)(kernel).tolist()
    [[[0, 2], [1, 3]], [[4, 6], [5, 7]]]
    """

    shape: tuple[int, ...]
    size: int
    within_rows: bool = False

    @property
    def width(self) -> int:
        """How many numbers are cut into blocks for each output; the last axis of a table."""
        return self.shape[-1] if self.within_rows else math.prod(self.shape[:-1])

    @property
    def columns(self) -> int:
        """How many outputs there are; rows of a table."""
        return math.prod(self.shape) // self.width if self.width else 0

    @property
    def rows(self) -> int:
        """How many blocks an output has."""
        return -(-self.width // self.size)

    @property
    def order(self) -> np.ndarray:
        """The places of the inputs of an output in the order in which they are cut, of `reshape(-1, outputs)`."""
        places = np.arange(self.width)
        return places if self.within_rows else np.moveaxis(places.reshape(self.shape[:-1]), -1, 0).ravel()

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Returns the blocks of an array of the shape, `(rows, columns, size)`."""
        if self.within_rows:
            matrix = array.reshape(-1, self.width).T
        else:
            matrix = np.moveaxis(array, -2, 0).reshape(self.width, self.columns)
        padded = np.zeros((self.rows * self.size, self.columns), matrix.dtype)
        padded[: self.width] = matrix
        return padded.reshape(self.rows, self.size, self.columns).transpose(0, 2, 1)

    def join(self, blocks: np.ndarray) -> np.ndarray:
        """Returns the array of which these are the blocks."""
        matrix = blocks.transpose(0, 2, 1).reshape(-1, self.columns)[: self.width]
        if self.within_rows:
            return matrix.T.reshape(self.shape)
        *positions, inputs, outputs = self.shape
        return np.moveaxis(matrix.reshape(inputs, *positions, outputs), 0, -2)


def find_patterns(blocks: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the patterns that all blocks have, where these are few; a zero goes with every pattern.

    Args:
        blocks: Bit patterns of the blocks, whole numbers without a sign, of shape `(number, size)`.
        most: Most patterns to return.

    Returns:
        The patterns, of shape `(patterns, size)`, and of each block the number of its pattern, -1 for a block of zeros;
        `None` if there are more, or more than 65,536 kinds of blocks with zeros.

    Example:

    >>> patterns, codes = find_patterns(np.array([[1, 2], [3, 4], [0, 4], [0, 0]], "uint8"), 4)
    >>> patterns.tolist(), codes.tolist()
    ([[1, 2], [3, 4]], [0, 1, 1, -1])
    """
    kinds, codes = _distinct(blocks)
    is_whole = kinds.all(axis=1)
    number = np.count_nonzero(is_whole)
    if number > most or len(kinds) - number > _MOST_PARTIAL:
        return None
    found = [*kinds[is_whole]]
    pattern_of = np.full(len(kinds), -1)
    pattern_of[is_whole] = np.arange(number)
    holders: dict = {}
    for pattern, kind in enumerate(found):
        _remember(holders, pattern, kind)
    partial = np.flatnonzero(~is_whole & kinds.any(axis=1))
    for index in partial[np.argsort(-np.count_nonzero(kinds[partial], axis=1), kind="stable")]:
        kind = kinds[index]
        pattern = _pattern_with(kind, found, holders)
        if pattern is None:
            pattern = len(found)
            found.append(kind)
            if len(found) > most:
                return None
        else:
            found[pattern] = np.where(found[pattern], found[pattern], kind)
        _remember(holders, pattern, kind)
        pattern_of[index] = pattern
    return np.array(found, blocks.dtype).reshape(-1, blocks.shape[1]), pattern_of[codes]


def find_fewest_patterns(blocks: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns what `find_patterns` does, after joining patterns that differ nowhere, where there are too many.

    Where most numbers are zero, no block may tell which of two numbers go together, so that they come as two patterns.

    Example:

    >>> patterns, codes = find_fewest_patterns(np.array([[1, 0], [0, 2]], "uint8"), 1)
    >>> patterns.tolist(), codes.tolist()
    ([[1, 2]], [0, 0])
    """
    found = find_patterns(blocks, most * blocks.shape[1])  # of one pattern no two parts have the same place
    if found is None:
        return None
    patterns, codes = found
    for is_apart in (False, True):  # last of all, those that have no number in common
        before = len(patterns) + 1
        while most < len(patterns) < before:
            before = len(patterns)
            patterns, joined = _joined(patterns, is_apart)
            codes = np.where(codes < 0, codes, joined[codes])
    return (patterns, codes) if len(patterns) <= most else None


def _joined(patterns, is_apart):
    """Returns patterns, the fullest first, each joined to the one before that it has most in common with."""
    found, number = np.zeros_like(patterns), 0
    joined = np.empty(len(patterns), "int64")
    for index in np.argsort(-np.count_nonzero(patterns, axis=1), kind="stable"):
        pattern, others = patterns[index], found[:number]
        both, is_same = (others != 0) & (pattern != 0), others == pattern
        common = np.where((both & ~is_same).any(axis=1), -1, (both & is_same).sum(axis=1))
        place = int(common.argmax()) if number and common.max() >= (not is_apart) else number
        number = max(number, place + 1)
        found[place] = np.where(pattern, pattern, found[place])
        joined[index] = place
    return found[:number], joined


def _remember(holders, pattern, kind):
    """Notes which patterns have which numbers where."""
    for entry in enumerate(kind.tolist()):
        if entry[1]:
            holders.setdefault(entry, {})[pattern] = None


def _pattern_with(kind, found, holders):
    """Returns a pattern that has one number of a block at least, and none that differs; `None` if there is none."""
    for entry in enumerate(kind.tolist()):
        candidates = holders.get(entry, ()) if entry[1] else ()
        for pattern in itertools.islice(candidates, _MOST_CANDIDATES):
            known = (found[pattern] != 0) & (kind != 0)
            if (found[pattern] == kind)[known].all():
                return pattern
    return None


def _distinct(blocks):
    """Returns the different blocks in the order in which they come, and of each block which it is."""
    keys = np.zeros(len(blocks), "uint64")
    for column in blocks.T:
        keys = (keys ^ column.astype("uint64")) * np.uint64(_ODD)
        keys ^= keys >> np.uint64(29)
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    kinds, codes = blocks[first[order]], np.argsort(order)[codes]
    if np.array_equal(kinds[codes], blocks):
        return kinds, codes
    kinds, codes = np.unique(blocks, axis=0, return_inverse=True)  # two different ones of one key
    return kinds, codes.ravel()

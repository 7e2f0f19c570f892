"""A kernel whose blocks share vectors: which vector each block has, and what the vectors are."""

import dataclasses
import itertools
import math

import numpy as np

from keras_slim.coding import shared_values
from keras_slim.coding.blocks import Cut, find_fewest_patterns
from keras_slim.coding.codebook import nearest_codes
from keras_slim.coding.vectors import nearest_vectors, shared_vectors


@dataclasses.dataclass
class BlockValues:
    """Blocks of a kernel as vectors of several codebooks. What is zero stays zero and has no part in them.

    Args:
        cut: How the kernel is cut.
        kept: Which numbers of the blocks are not zero, of shape `(rows, columns, size)`.
        groups: The rows of blocks that each codebook is for, a list of slices.
        books: Vectors of each codebook, arrays of shape `(vectors, size)`.
        codes: Number of the vector of each block in its codebook, `(rows, columns)`; of no meaning for blocks of zeros.
    """

    cut: Cut
    kept: np.ndarray
    groups: list[slice]
    books: list[np.ndarray]
    codes: np.ndarray

    def blocks(self) -> np.ndarray:
        """Returns the blocks, of shape `(rows, columns, size)`."""
        parts = [book[self.codes[group]] for group, book in zip(self.groups, self.books, strict=True)]
        return np.where(self.kept, np.concatenate(parts), 0)

    def values(self) -> np.ndarray:
        """Returns the kernel."""
        return self.cut.join(self.blocks())

    def weight_codes(self) -> np.ndarray:
        """Returns which weights share a value, as `Codes` has it: 0 for zeros, else a number for each value."""
        size = self.cut.size
        firsts = np.cumsum([0, *map(len, self.books)])
        starts = np.concatenate(
            [np.full((group.stop - group.start, 1), first) for group, first in zip(self.groups, firsts, strict=False)]
        )
        numbers = 1 + (starts + self.codes)[:, :, np.newaxis] * size + np.arange(size)
        return self.cut.join(np.where(self.kept, numbers, 0))


def cut_of(weight, block: int) -> Cut:
    """Returns how a weight is cut into blocks: an embedding within its vectors, all else along the inputs."""
    shape = tuple(weight.shape)
    within_rows = weight.name.endswith("embeddings") or len(shape) < 2
    width = Cut(shape, 1, within_rows).width
    return Cut(shape, max(1, min(block, width)), within_rows)


def groups_of(cut: Cut, codebooks: int) -> list[slice]:
    """Returns the rows of blocks that each codebook is for, nearly as many for each."""
    bounds = np.linspace(0, cut.rows, min(codebooks, cut.rows) + 1).astype("int64").tolist()
    return [slice(*each) for each in itertools.pairwise(bounds)]


def share_blocks(kernel: np.ndarray, cut: Cut, number: int, codebooks: int, init: str, seed: int) -> BlockValues:
    """Returns a kernel whose blocks have few vectors, those of k-means; a kernel that has as few is itself.

    Args:
        kernel: The kernel.
        cut: How it is cut.
        number: Most vectors of a codebook.
        codebooks: How many codebooks there are, by groups of inputs.
        init: Where k-means begins, for blocks of one number.
        seed: Seed of what is drawn.
    """
    blocks = cut(kernel)
    kept, groups = blocks != 0, groups_of(cut, codebooks)
    books, codes = [], np.zeros(blocks.shape[:2], "int64")
    for group in groups:
        live = kept[group].any(axis=2)
        if live.any():
            book, codes[group][live] = _shared(blocks[group][live], kept[group][live], number, init, seed)
        else:
            book = np.zeros((1, cut.size), kernel.dtype)
        books.append(book)
    return BlockValues(cut, kept, groups, books, codes)


def _shared(blocks, kept, number, init, seed):
    """Returns the vectors of some blocks, and which of them each has."""
    if blocks.shape[1] == 1:
        values = shared_values(blocks[:, 0], number, init, seed=seed)
        return values[:, np.newaxis], nearest_codes(blocks[:, 0], values)
    found = find_fewest_patterns(np.where(kept, blocks, 0).view(f"u{blocks.itemsize}"), number)
    if found is not None:
        patterns, codes = found[0].view(blocks.dtype), found[1]
        order = np.lexsort(patterns.T[::-1])  # as `shared_vectors` has it
        return patterns[order], np.argsort(order)[codes]
    vectors = shared_vectors(blocks, number, kept=kept, seed=seed)
    return vectors, nearest_vectors(blocks, vectors, kept)


def stored(codes: np.ndarray, cut: Cut, codebooks: int) -> tuple[int, int]:
    """Returns how many values a kernel of these codes has, zero among them, and the bits that tell their places.

    Args:
        codes: Which weights share a value, as `Codes` has it.
        cut: How the kernel is cut.
        codebooks: How many codebooks it has.
    """
    blocks = cut(codes).max(axis=2)  # a number that tells the vector
    starts = np.where(blocks > 0, 1 + (blocks - 1) // cut.size, 0)
    bits = sum(
        starts[group].size * math.ceil(math.log2(max(1, len(np.unique(starts[group])))))
        for group in groups_of(cut, codebooks)
    )
    return len(np.unique(codes)), bits

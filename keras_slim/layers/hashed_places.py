"""A portable hash of the positions of a matrix: the same numbers on every machine, so that no file has to hold them."""

import numpy as np

WORD = np.uint64(32)
GOLDEN = 0x9E3779B97F4A7C15  # 2 ** 64 over the golden ratio, odd
MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def hashed_places(shape: tuple[int, int], num_buckets: int, seed: int) -> np.ndarray:
    """Returns for each position of a matrix the bucket it is in, and its sign.

    The 64 bits `z` of a position `(i, j)` are `i * 2 ** 32 + j + (seed + 1) * GOLDEN`, mixed as in SplitMix64: twice
    `z = (z ^ (z >> shift)) * factor`, then `z ^ (z >> 31)`, all modulo `2 ** 64`. The upper 32 bits, times the number
    of buckets over `2 ** 32`, are the bucket; the lowest bit, which they do not depend on, is the sign.

    Args:
        shape: Rows and columns of the matrix.
        num_buckets: Number of buckets, K.
        seed: An integer of at least 0; each is another hash.

    Returns:
        Array of `shape`, int32: the bucket, and K more where the sign is minus: a place in `[w, -w]`.

    Example:

    >>> hashed_places((2, 3), 4, seed=0).tolist()
    [[7, 6, 2], [3, 4, 2]]

    Reference:
        Chen et al. 2015, "Compressing neural networks with the hashing trick", arXiv 1504.04788, equations 3 and 7.
        Steele et al. 2014, "Fast splittable pseudorandom number generators", for the mixing.
    """
    rows, columns = (np.arange(size, dtype=np.uint64) for size in shape)
    start = np.full((1, 1), (seed + 1) * GOLDEN % 2**64, np.uint64)
    bits = (rows[:, None] << WORD) + columns + start
    for shift, factor in MIXING:
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    buckets = ((bits >> WORD) * np.uint64(num_buckets)) >> WORD
    return (buckets + (bits & np.uint64(1)) * np.uint64(num_buckets)).astype(np.int32)

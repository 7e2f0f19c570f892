"""The few vectors that stand for many: k-means of blocks of numbers."""

import numpy as np

from keras_slim.validation import check_count

_MOST_ROUNDS, _LEAST_GAIN = 50, 1e-3
_MOST_DRAWN_FROM = 2**16  # blocks
_MOST_AT_ONCE = 2**22  # distances


def shared_vectors(blocks: np.ndarray, number: int, *, kept: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Returns the vectors that stand for blocks of numbers with a small squared error.

    Lloyd's algorithm from vectors drawn by k-means++, in at most 50 rounds, as long as each takes a thousandth off the
    error. A vector that is nearest to no block becomes the block of the most numerous vector that is farthest from it.

    Args:
        blocks: Finite numbers of shape `(blocks, size)`, of one block at least.
        number: Most vectors to use.
        kept: Which numbers count, a boolean array of the same shape. Defaults to all.
        seed: Seed of what is drawn.

    Returns:
        Array of shape `(number or fewer, size)`, of the dtype of the blocks.

    Raises:
        ValueError: If `number` is below 1.

    Reference:
        Gong et al. 2014, "Compressing deep convolutional networks using vector quantization" (arXiv 1412.6115),
        section 3.3; Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding".

    Example:

    >>> shared_vectors(np.array([[0.0, 1.0], [0.0, 2.0], [5.0, 5.0]]), 2).tolist()
    [[0.0, 1.5], [5.0, 5.0]]
    """
    check_count(number, "number", "shared_vectors")
    values = np.asarray(blocks, "float64")
    kept = np.ones(values.shape, bool) if kept is None else kept
    kept = kept.astype("float64")
    values = values * kept
    vectors = _drawn(values, kept, number, seed)
    error = np.inf
    for _ in range(_MOST_ROUNDS):
        before, (codes, distances) = error, _nearest(values, kept, vectors)
        error = distances.sum()
        vectors, codes = _without_empty(values, vectors, codes, distances)
        vectors = _means(values, kept, codes, vectors)
        if error >= (1 - _LEAST_GAIN) * before:
            break
    return vectors[np.lexsort(vectors.T[::-1])].astype(np.asarray(blocks).dtype)


def nearest_vectors(blocks: np.ndarray, vectors: np.ndarray, kept: np.ndarray | None = None) -> np.ndarray:
    """Returns the place of the nearest of some vectors, for each block.

    Args:
        blocks: Array of shape `(blocks, size)`.
        vectors: Array of shape `(vectors, size)`.
        kept: Which numbers count, a boolean array of the shape of the blocks. Defaults to all.

    Example:

    >>> nearest_vectors(np.array([[0.0, 1.0], [4.0, 4.0]]), np.array([[0.0, 0.0], [5.0, 5.0]])).tolist()
    [0, 1]
    """
    values = np.asarray(blocks, "float64")
    kept = np.ones(values.shape) if kept is None else kept.astype("float64")
    return _nearest(values * kept, kept, np.asarray(vectors, "float64"))[0]


def _nearest(values, kept, vectors):
    """Returns of each block the nearest vector, and the square of the distance, of the numbers that count."""
    codes, distances = np.empty(len(values), "int64"), np.empty(len(values))
    height = max(1, _MOST_AT_ONCE // len(vectors))
    is_whole = bool(kept.all())
    squares = np.square(vectors)
    for first in range(0, len(values), height):
        part = slice(first, first + height)
        lengths = squares.sum(axis=1) if is_whole else kept[part] @ squares.T
        costs = lengths - 2 * (values[part] @ vectors.T)
        codes[part] = costs.argmin(axis=1)
        distances[part] = costs.min(axis=1) + np.square(values[part]).sum(axis=1)
    return codes, np.maximum(distances, 0)


def _drawn(values, kept, number, seed):
    """Returns different blocks, drawn by the square of their distance to those drawn before."""
    rng = np.random.default_rng(seed)
    if len(values) > _MOST_DRAWN_FROM:
        chosen = np.sort(rng.choice(len(values), _MOST_DRAWN_FROM, replace=False))
        values, kept = values[chosen], kept[chosen]
    vectors = [values[rng.integers(len(values))]]
    distances = np.square((values - vectors[0]) * kept).sum(axis=1)
    while len(vectors) < number and distances.any():
        vectors.append(values[rng.choice(len(values), p=distances / distances.sum())])
        distances = np.minimum(distances, np.square((values - vectors[-1]) * kept).sum(axis=1))
    return np.array(vectors)


def _without_empty(values, vectors, codes, distances):
    """Returns vectors and codes in which each vector has a block, as far as there are different blocks."""
    sizes = np.bincount(codes, minlength=len(vectors))
    for empty in np.flatnonzero(sizes == 0):
        members = np.flatnonzero(codes == sizes.argmax())
        farthest = members[distances[members].argmax()]
        if not distances[farthest]:
            continue
        sizes[codes[farthest]] -= 1
        sizes[empty] = 1
        vectors[empty], codes[farthest], distances[farthest] = values[farthest], empty, 0
    return vectors, codes


def _means(values, kept, codes, vectors):
    """Returns the mean of the blocks of each vector, number by number; where none counts, the vector's own."""
    sums, counts = (
        np.stack([np.bincount(codes, column, len(vectors)) for column in each.T], axis=1) for each in (values, kept)
    )
    return np.where(counts, sums / np.maximum(counts, 1), vectors)

"""Masks that keep the largest weights."""

from collections.abc import Mapping

import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.sparsity.masks import Masks
from keras_slim.sparsity.patterns import patterns
from keras_slim.validation import check_choice, check_share

SCOPES = ("layer", "global")


def magnitude_masks(weights: Mapping, sparsity, scope: str = "layer", pattern="single", within=None) -> Masks:
    """Returns masks that set the smallest weights to zero.

    The number that goes is exact: the sparsity times the number of weights, or of blocks, rounded.

    Args:
        weights: Dictionary of paths to kernels, variables or arrays.
        sparsity: Share of zeros, or a dictionary of paths to shares.
        scope: `"layer"` ranks the weights of each kernel, `"global"` all of them together, with one sparsity.
        pattern: What goes at once: `"single"`, `"block"`, `"n_of_m"`, or a `keras_slim.sparsity.Pattern`.
        within: Masks; what they do not keep is not kept again, and counts among what goes. Optional.

    Returns:
        The `Masks`.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Han et al. 2015, "Learning both weights and connections for efficient neural networks" (arXiv 1506.02626).

    Example:

    >>> kernels = {"a": np.array([[1.0, -4.0], [3.0, -2.0]]), "b": np.array([[9.0, 8.0]])}
    >>> magnitude_masks(kernels, 0.5)["a"].tolist()
    [[False, True], [True, False]]
    >>> magnitude_masks(kernels, 0.5, scope="global").describe().splitlines()[0]
    'a: 1 of 4 kept, sparsity 0.750'
    """
    owner = "magnitude_masks"
    check_choice(scope, "scope", owner, SCOPES)
    pattern = patterns.get(pattern, "pattern", owner)
    shares = sparsity if isinstance(sparsity, Mapping) else dict.fromkeys(weights, sparsity)
    shares = {path: check_share(shares[path], "sparsity", owner, zero=True, one=True) for path in weights}
    shapes = {path: tuple(weight.shape) for path, weight in weights.items()}
    scores = {path: pattern.pool(_magnitudes(path, weight, within)) for path, weight in weights.items()}
    if scope == "layer":
        kept = {path: _largest(score, shares[path]) for path, score in scores.items()}
    else:
        kept = _largest_of_all(scores, shares, owner)
    masks = Masks({path: pattern.spread(kept[path], shapes[path]) for path in weights})
    return masks if within is None else Masks({path: mask & within[path] for path, mask in masks.items()})


def _magnitudes(path, weight, within):
    """Returns the magnitudes of a kernel; what is not kept already comes before all others."""
    magnitudes = np.abs(np.asarray(weight, "float32"))
    return magnitudes if within is None else np.where(within[path], magnitudes, -np.inf)


def _largest(scores, share):
    """Returns which scores are kept when a share of them, the lowest, goes."""
    number = round(share * scores.size)
    kept = np.ones(scores.size, bool)
    if number:
        kept[np.argpartition(scores, number - 1, axis=None)[:number]] = False
    return kept.reshape(scores.shape)


def _largest_of_all(scores, shares, owner):
    if len(set(shares.values())) > 1:
        expected = "one share for all kernels, since `scope='global'` ranks them together"
        raise ValueError(invalid_argument("sparsity", owner, expected=expected, received=shares))
    flat = [score.ravel() for score in scores.values()]
    kept = _largest(np.concatenate(flat), next(iter(shares.values())))
    parts = np.split(kept, np.cumsum([part.size for part in flat])[:-1])
    return {path: part.reshape(scores[path].shape) for path, part in zip(scores, parts, strict=True)}

"""The UCI handwritten digits, 1 797 grey images of 8x8 pixels."""

import pathlib

import numpy as np

from keras_slim.validation import check_count

_FILE = pathlib.Path(__file__).with_name("digits.npz")
_NUM_VALIDATION = 300
_NUM_TEST = 300

_Part = tuple[np.ndarray, np.ndarray]


def load_digits(seed: int = 0) -> tuple[_Part, _Part, _Part]:
    """Loads the UCI handwritten digits, split in three.

    Use it to try something on real data within seconds. The split is random within each digit, so all three parts hold
    the ten digits in nearly equal shares. The 13 people who wrote them occur in all parts: expect a lower accuracy on
    the hand of a stranger.

    Args:
        seed: Seed of the split, an integer of at least 0. The same seed gives the same split.

    Returns:
        `(x_train, y_train), (x_val, y_val), (x_test, y_test)` with 1197, 300 and 300 samples: `x` of shape
        `(samples, 8, 8, 1)`, float32 in [0, 1], and `y` of shape `(samples,)`, int64 in 0 to 9.

    Raises:
        TypeError: If `seed` is not an integer.
        ValueError: If it is negative.

    Example:

    >>> (x_train, y_train), (x_val, y_val), (x_test, y_test) = load_digits(seed=1)
    >>> x_train.shape, x_val.shape, x_test.shape
    ((1197, 8, 8, 1), (300, 8, 8, 1), (300, 8, 8, 1))

    Reference: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, CC BY 4.0.
    """
    rng = np.random.default_rng(check_count(seed, "seed", "load_digits", minimum=0))
    images, labels = _read()
    x = (images[..., np.newaxis] / 16).astype("float32")
    y = labels.astype("int64")
    test, validation, train = np.split(_mixed_order(y, rng), [_NUM_TEST, _NUM_TEST + _NUM_VALIDATION])
    train, validation, test = (rng.permutation(part) for part in (train, validation, test))
    return (x[train], y[train]), (x[validation], y[validation]), (x[test], y[test])


def _read():
    with np.load(_FILE) as archive:
        return archive["images"], archive["labels"]


def _mixed_order(labels, rng):
    """Returns a random order in which every stretch holds the classes in nearly their overall shares."""
    order = rng.permutation(len(labels))
    progress = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels[order] == label)
        progress[members] = (np.arange(len(members)) + 0.5) / len(members)
    return order[np.argsort(progress, kind="stable")]

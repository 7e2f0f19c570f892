"""CIFAR-10 and MNIST from a folder, or by download."""

import pathlib

import keras
import numpy as np

# Peers that need legacy Keras read these images too; batches are a `Sequence` there, which has no options.
HAS_DATASETS = hasattr(keras.utils, "PyDataset")
MEAN, DEVIATION = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of each colour over the training set


def load_cifar10(data_dir=None, train=45_000, validation=5_000, test=10_000, as_pixels=False):
    """Returns training, validation and test images; the last training images are kept for validation.

    Args:
        data_dir: Folder with `cifar10.npz`; `None` downloads the set.
        train: Number of training images, from the first.
        validation: Number of validation images, the last ones of the training set.
        test: Number of test images, from the first.
        as_pixels: Whether images are integers from 0 to 255, as they are stored; else they are normalised.

    Returns:
        `((x_train, y_train), (x_validation, y_validation), (x_test, y_test))`.
    """
    return _load("cifar10", data_dir, np.asarray if as_pixels else _normalised, train, validation, test)


def load_mnist(data_dir=None, train=55_000, validation=5_000, test=10_000):
    """Returns training, validation and test images of shape (28, 28, 1), from 0 to 1.

    Args:
        data_dir: Folder with `mnist.npz`; `None` downloads the set.
        train: Number of training images, from the first.
        validation: Number of validation images, the last ones of the training set.
        test: Number of test images, from the first.

    Returns:
        `((x_train, y_train), (x_validation, y_validation), (x_test, y_test))`.
    """
    return _load("mnist", data_dir, _scaled, train, validation, test)


class Shifted(keras.utils.PyDataset if HAS_DATASETS else keras.utils.Sequence):
    """Batches of images in random order, each moved by some pixels, half of them mirrored (He et al. 2016)."""

    def __init__(self, x, y, batch_size, seed, most=4, mirror=True):
        super().__init__(**({"workers": 2} if HAS_DATASETS else {}))
        self._padded = np.pad(x, ((0, 0), (most, most), (most, most), (0, 0)))
        self._y, self._batch_size, self._most, self._mirror = y, batch_size, most, mirror
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self._y) // self._batch_size)

    def on_epoch_end(self):
        count = len(self._y)
        self._order = self._random.permutation(count)
        self._shifts = self._random.integers(0, 2 * self._most + 1, (count, 2))
        self._steps = self._random.choice((1, -1) if self._mirror else (1,), count)

    def __getitem__(self, index):
        places = slice(index * self._batch_size, (index + 1) * self._batch_size)
        size, chosen = self._padded.shape[1] - 2 * self._most, self._order[places]
        images = [
            self._padded[each, row : row + size, column : column + size][:, ::step]
            for each, (row, column), step in zip(chosen, self._shifts[places], self._steps[places], strict=True)
        ]
        return np.stack(images), self._y[chosen]


def pixels(x):
    """Returns normalised images as pixels from 0 to 255, still floating-point."""
    return np.clip(x * DEVIATION + MEAN, 0, 255)


def _load(name, data_dir, prepare, train, validation, test):
    """Returns the three parts of a set, their images prepared."""
    if data_dir is None:
        (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    else:
        with np.load(pathlib.Path(data_dir) / f"{name}.npz", allow_pickle=False) as file:
            x, y, x_test, y_test = (file[part] for part in ("x_train", "y_train", "x_test", "y_test"))
    parts = (x[:train], y[:train]), (x[-validation:], y[-validation:]), (x_test[:test], y_test[:test])
    return tuple((prepare(x), y.ravel().astype("int64")) for x, y in parts)


def _scaled(x):
    return x[..., None].astype("float32") / 255


def _normalised(x):
    return ((x.astype("float32") - MEAN) / DEVIATION).astype("float32")

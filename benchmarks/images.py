"""CIFAR-10 and MNIST from a folder, or by download."""

import pathlib

import keras
import numpy as np

MEAN, DEVIATION = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of each colour over the training set


def load_cifar10(data_dir=None, train=45_000, validation=5_000, test=10_000):
    """Returns training, validation and test images, normalised; the last training images are kept for validation.

    Args:
        data_dir: Folder with `cifar10.npz`; `None` downloads the set.
        train: Number of training images, from the first.
        validation: Number of validation images, the last ones of the training set.
        test: Number of test images, from the first.

    Returns:
        `((x_train, y_train), (x_validation, y_validation), (x_test, y_test))`.
    """
    if data_dir is None:
        (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    else:
        x, y, x_test, y_test = _from_file(data_dir, "cifar10.npz")
    return (
        _normalised(x[:train], y[:train]),
        _normalised(x[-validation:], y[-validation:]),
        _normalised(x_test[:test], y_test[:test]),
    )


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
    if data_dir is None:
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        x, y, x_test, y_test = _from_file(data_dir, "mnist.npz")
    return (
        _scaled(x[:train], y[:train]),
        _scaled(x[-validation:], y[-validation:]),
        _scaled(x_test[:test], y_test[:test]),
    )


def pixels(x):
    """Returns normalised images as pixels from 0 to 255, still floating-point."""
    return np.clip(x * DEVIATION + MEAN, 0, 255)


def _from_file(data_dir, name):
    with np.load(pathlib.Path(data_dir) / name, allow_pickle=False) as file:
        return [file[part] for part in ("x_train", "y_train", "x_test", "y_test")]


def _scaled(x, y):
    return x[..., None].astype("float32") / 255, y.ravel().astype("int64")


def _normalised(x, y):
    x = (x.astype("float32") - MEAN) / DEVIATION
    return x.astype("float32"), y.ravel().astype("int64")

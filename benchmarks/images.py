"""CIFAR-10 from a folder, or by download."""

import pathlib

import keras
import numpy as np


def load_cifar10(data_dir=None, train=45_000, validation=5_000):
    """Returns training and validation images, normalised; the last training images are kept for validation.

    Args:
        data_dir: Folder with `cifar10.npz`; `None` downloads the set.
        train: Number of training images, from the first.
        validation: Number of validation images, the last ones of the training set.

    Returns:
        `((x_train, y_train), (x_validation, y_validation))`.
    """
    if data_dir is None:
        (x, y), _ = keras.datasets.cifar10.load_data()
    else:
        with np.load(pathlib.Path(data_dir) / "cifar10.npz", allow_pickle=False) as file:
            x, y = file["x_train"], file["y_train"]
    x = (x.astype("float32") - (125.3, 123.0, 113.9)) / (63.0, 62.1, 66.7)
    y = y.ravel().astype("int64")
    x = x.astype("float32")
    return (x[:train], y[:train]), (x[-validation:], y[-validation:])

"""A small pruned model whose weights share values, and its file."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.compression import save_compressed


@pytest.fixture(scope="session")
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(20, "relu", name="hidden"),
            layers.Dense(3, name="scores"),
        ]
    )
    rng = np.random.default_rng(0)
    for layer, share, number in ((model.layers[0], 0.5, 8), (model.layers[3], 0.1, 4)):
        book = rng.normal(size=number)
        kernel = np.where(rng.random(layer.kernel.shape) < share, rng.choice(book, layer.kernel.shape), 0)
        layer.kernel.assign(kernel)
    return model


@pytest.fixture(scope="session")
def saved(model, tmp_path_factory):
    """The report on the model's file."""
    return save_compressed(model, tmp_path_factory.mktemp("compression") / "model.slim.h5")


@pytest.fixture
def content(saved):
    """The bytes of the file."""
    with open(saved.path, "rb") as file:
        return file.read()

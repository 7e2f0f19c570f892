"""A small search, and what keras-tuner wants to be left alone with."""

import keras
import numpy as np
import pytest
from batching import batches

OF_KERAS_TUNER = [
    pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning"),  # keras-tuner 1.4.8 on Python 3.10 and later
    pytest.mark.filterwarnings("ignore:getName:DeprecationWarning"),
]


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 6)).astype("float32")
    return x, (x[:, 0] + x[:, 1] > 0).astype("int32")


def fit_arguments():
    x, y = data()
    return {"x": batches(x, y, 32), "validation_data": batches(x, y), "verbose": 0}


def build(hp=None):
    """Returns a network of 6 * 16 + 16 + 16 * 8 + 8 + 8 * 2 + 2 = 266 parameters."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, "relu", name="a"),
            keras.layers.Dense(8, "relu", name="b"),
            keras.layers.Dense(2, "softmax", name="c"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


PARAMS = 266
PRUNING = {
    "method": "prune",
    "criterion": "l2",
    "debias": "l2",
    "ratio": (0.3, 0.5),
    "rounds": 1,
    "align": 1,
    "max_ratio": 0.9,
}

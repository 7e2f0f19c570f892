"""A small trained model, the same for all tests, and its samples."""

import keras
import numpy as np
import pytest
from batching import batches
from keras import layers


@pytest.fixture(scope="session")
def samples():
    x = np.random.default_rng(0).normal(size=(96, 8)).astype("float32")
    return x, (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype("int32")


@pytest.fixture(scope="session")
def trained(samples):
    """The model; nothing may change it."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, "relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(16, "relu", name="second"),
            layers.Dense(16, "relu", name="third"),
            layers.Dense(2, "softmax", name="scores"),
        ],
        name="net",
    )
    optimizer, loss = keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    model.fit(batches(*samples, 16), epochs=20, verbose=0)
    # Fits of a few steps take less time than the compilation of one.
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"], run_eagerly=True)
    return model

"""Data, small networks and callbacks that the tests of this folder share."""

import keras
import numpy as np
import pytest

import keras_slim as slim

RNG = np.random.default_rng(11)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = np.tanh(X @ RNG.normal(size=(4, 2))).astype("float32")


@pytest.fixture(scope="session")
def x():
    return X


@pytest.fixture(scope="session")
def y():
    return Y


@pytest.fixture(scope="session")
def build():
    """Returns the function that builds a compiled model with layers `first` (16 units) and `second` (16 units).

    Eager steps are faster for the few that most tests take; compiled ones are tested in `test_kinds_of_fit.py`.
    """

    def build(optimizer="sgd", *, kind="sequential", cls=keras.Model, **options):
        layers = [
            keras.layers.Dense(16, "relu", name="first"),
            keras.layers.Dense(16, name="second"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Dense(2, name="head", dtype="float32"),
        ]
        if kind == "sequential":
            model = keras.Sequential([keras.Input((4,)), *layers])
        else:
            tensor = inputs = keras.Input((4,))
            for layer in layers:
                tensor = layer(tensor)
            model = cls(inputs, tensor)
        model.compile(optimizer, **{"loss": "mse", "run_eagerly": True, **options})
        return model

    return build


@pytest.fixture(scope="session")
def prune():
    """Returns the function that makes the callback: half of the units in two rounds, by their weights, silently."""

    def prune(**options):
        defaults = {
            "ratio": 0.5,
            "rounds": 2,
            "criterion": "l2",
            "guards": slim.pruning.Guards(align=1),
            "verbose": 0,
        }
        return slim.callbacks.ProgressiveGlobalPruning(**{**defaults, **options})

    return prune


class Watch(keras.callbacks.Callback):
    """Notes what `look(model)` gives at the beginning of each epoch, before its first batch and at its end."""

    def __init__(self, look):
        super().__init__()
        self.look = look
        self.before, self.after, self.at_end = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.before.append(self.look(self.model))

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.after.append(self.look(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.at_end.append(self.look(self.model))


@pytest.fixture
def watch():
    return Watch

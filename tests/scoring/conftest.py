"""Scoring in one call, and the small networks that the tests of this folder share."""

import keras
import numpy as np
import pytest

from keras_slim.graph import analyse
from keras_slim.scoring import criteria, debiasers, unit_scores


@pytest.fixture
def score():
    """Returns the function from a model and a criterion to the scores of its units."""

    def score(model, criterion, data=None, debias="none", ignore=(), **options):
        return unit_scores(
            analyse(model, ignore),
            criteria.get(criterion, "criterion", "score"),
            debiasers.get(debias, "debias", "score"),
            data,
            **options,
        )

    return score


@pytest.fixture
def perceptron():
    """Four inputs, eight ReLU units, three outputs; compiled with a mean squared error."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", name="hidden", bias_initializer="glorot_uniform"),
            keras.layers.Dense(3, name="head"),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    return model


@pytest.fixture
def samples():
    """Ten inputs and targets of `perceptron`."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(10, 4)).astype("float32"), rng.normal(size=(10, 3)).astype("float32")

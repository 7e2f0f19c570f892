"""By how much a metric is worse."""

import math

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.scoring.direction import Direction, infer_mode


@pytest.mark.parametrize(
    ("mode", "before", "value", "drop"),
    [
        ("max", 0.91, 0.9, 0.01),
        ("max", 0.9, 0.91, -0.01),
        ("min", 0.5, 0.75, 0.25),
        ("max", 0.9, math.nan, math.inf),
        ("min", math.nan, math.nan, 0.0),
    ],
)
def test_the_drop_is_how_much_worse_a_value_is(mode, before, value, drop):
    assert Direction(mode, "metric", None, "test").drop(before, value) == drop


@pytest.mark.parametrize(
    ("value", "max_drop", "missing"),
    [(0.9, 0.01, 0.0), (0.88, 0.01, 0.02), (0.95, 0.0, 0.0), (math.nan, 0.5, math.inf)],
)
def test_what_is_missing_is_the_drop_beyond_what_is_allowed(value, max_drop, missing):
    assert Direction("max", "metric", None, "test").missing(0.91, value, max_drop) == missing


def own_accuracy(y, answers):
    return keras.ops.mean(keras.ops.abs(y - answers))


def by_name(outputs):
    return dict(zip(("class_of", "size"), outputs, strict=True))


@pytest.mark.parametrize("named", [list, by_name])
def test_with_several_outputs_the_name_ends_with_that_of_the_metric(named):
    inputs = keras.Input((4,))
    outputs = [layers.Dense(3, name="class_of")(inputs), layers.Dense(1, name="size")(inputs)]
    model = keras.Model(inputs, named(outputs))
    metrics = [["sparse_categorical_accuracy"], ["mae", own_accuracy]]
    model.compile(loss="mse", metrics=named(metrics))
    y = named([np.zeros((8, 1)), np.zeros((8, 1))])
    model.evaluate(np.zeros((8, 4)), y, verbose=0)
    expected = {"class_of_sparse_categorical_accuracy": "max", "val_size_mae": "min", "val_size_loss": "min"}
    assert {name: infer_mode(name, model, "test") for name in expected} == expected
    with pytest.raises(ValueError, match="`mode` of `test`.*'size_own_accuracy' is better"):
        infer_mode("size_own_accuracy", model, "test")


def test_a_name_of_its_own_is_no_end_of_another():
    """That it is called an accuracy says nothing of a function."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile(loss="mse", metrics=["accuracy", own_accuracy])
    model.evaluate(np.zeros((8, 4)), np.zeros((8, 1)), verbose=0)
    assert infer_mode("accuracy", model, "test") == "max"
    with pytest.raises(ValueError, match="'own_accuracy' is better"):
        infer_mode("own_accuracy", model, "test")

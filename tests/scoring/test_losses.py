"""Targets that the loss does not take."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.scoring import check_data, criteria

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
NUMBERS = np.arange(16) % 3
ONE_HOT = np.eye(3, dtype="float32")[NUMBERS]


def model(loss):
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")])
    made.compile("sgd", loss, run_eagerly=True)
    return made


WRONG = [
    ("sparse_categorical_crossentropy", ONE_HOT, NUMBERS),
    ("categorical_crossentropy", NUMBERS, ONE_HOT),
    ("mse", np.ones((16, 2), "float32"), ONE_HOT),
]
MESSAGE = r"does not take these targets\. Expected targets as `fit` takes them\. Received: targets of shape \(.*outputs"


@pytest.mark.parametrize("criterion", ["taylor", "oracle"])
@pytest.mark.parametrize(("loss", "wrong", "right"), WRONG)
def test_they_are_refused_with_both_shapes(loss, wrong, right, criterion):
    with pytest.raises(ValueError, match=MESSAGE):
        slim.plan_pruning(model(loss), 0.5, criterion=criterion, data=(X, wrong), verbose=0)


@pytest.mark.parametrize(("loss", "wrong", "right"), WRONG)
def test_in_fit_they_are_refused_before_training(loss, wrong, right):
    network = model(loss)
    before = network.get_weights()
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, rounds=1, data=(X, wrong), verbose=0)
    with pytest.raises(ValueError, match=MESSAGE):
        network.fit(X, right, epochs=2, verbose=0, callbacks=[pruning])
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_length_that_is_known_to_the_call_alone_is_left_to_the_scores():
    inputs = keras.Input((None, 4))
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Dense(16, "relu")(inputs))
    network = keras.Model(inputs, outputs)
    network.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    data = X[:, None], NUMBERS[:, None]
    check_data(analyse(network), criteria.get("taylor", "criterion", "test"), data, owner="test")
    assert slim.plan_pruning(network, 0.5, criterion="taylor", data=data, verbose=0).after.units == 8

"""Callbacks that cut a model or hold its weights, two in one `fit`."""

import itertools

import keras
import numpy as np
import pytest

import keras_slim as slim

MAKE = {
    "ProgressiveGlobalPruning": lambda: slim.callbacks.ProgressiveGlobalPruning(
        0.5, criterion="l2", rounds=1, verbose=0
    ),
    "StructuredLotteryTicket": lambda: slim.callbacks.StructuredLotteryTicket(1, verbose=0),
    "GradualPruning": lambda: slim.callbacks.GradualPruning(0.5, verbose=0),
}
PAIRS = [pair for pair in itertools.product(MAKE, repeat=2) if pair != ("GradualPruning", "GradualPruning")]


@pytest.mark.parametrize("pair", PAIRS)
def test_they_are_refused_before_training(build, pair, x, y):
    model = build()
    before = model.get_weights()
    message = rf"cannot share a `fit`\. Expected one of them\. Received: {pair[0]}, {pair[1]}\."
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, epochs=4, verbose=0, callbacks=[keras.callbacks.History(), *(MAKE[name]() for name in pair)])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(weight.constraint is None for weight in model.weights)

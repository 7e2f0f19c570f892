"""What is said where the rounding of the guards takes more than was asked."""

import warnings

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import SlimWarning

X = np.ones((16, 4), "float32")
EXACT = slim.pruning.Guards(align=1)


def model():
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)]
    made = keras.Sequential([keras.Input((4,)), *layers])
    made.compile("sgd", "mse", run_eagerly=True)
    return made


def fit(ratio, **options):
    pruning = slim.callbacks.ProgressiveGlobalPruning(ratio, criterion="l2", rounds=2, **options)
    model().fit(X, X[:, :2], epochs=4, verbose=0, callbacks=[pruning])
    return pruning.rounds_done


def test_a_plan_that_takes_much_more_than_asked_says_why():
    with pytest.warns(SlimWarning, match=r"`plan_pruning` removes 25\.0% of the units .* asks for 10\.0%.*align=1"):
        assert slim.plan_pruning(model(), 0.1).after.units == 24
    assert slim.plan_pruning(model(), 0.1, guards=EXACT).after.units == 28


def test_a_plan_that_takes_about_as_much_as_asked_says_nothing():
    assert slim.plan_pruning(model(), 0.2).after.units == 24


def test_in_fit_it_is_said_once_with_the_round_that_does_it(capsys):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SlimWarning)
        assert [each["units"] for each in fit(0.1)] == [24, 24]
    said = [str(each.message) for each in told if issubclass(each.category, SlimWarning)]
    assert len(said) == 1
    assert "`ProgressiveGlobalPruning` removes 25.0% of the units where ratio=0.1 asks for 10.0%" in said[0]
    assert "round 2/2: nothing, the rounds before went far enough" in capsys.readouterr().out


def test_in_fit_what_was_asked_is_cut_without_rounding(capsys):
    assert [each["units"] for each in fit(0.1, guards=EXACT)] == [30, 28]
    assert "nothing" not in capsys.readouterr().out

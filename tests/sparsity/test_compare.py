"""A way to train beside a dense control of as many epochs."""

import math

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.sparsity import SeedComparison, compare
from keras_slim.sparsity.compare import student_t

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 4)), RNG.normal(size=(24, 1))


def build():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    return model


def test_a_way_that_changes_nothing_gains_nothing():
    found = compare(build, {"plain": list}, X, Y, epochs=2, batch_size=8, seeds=3, test=(X, Y), verbose=0)
    assert list(found.values) == ["dense", "plain"]
    assert list(found.values["dense"]) == ["loss", "mae"]
    assert len(set(found.values["dense"]["loss"])) == 3  # seeds differ
    assert found.values["dense"] == found.values["plain"]
    assert found.gain("plain", "mae") == (0, 0, 0)


def test_all_ways_train_for_as_many_epochs():
    epochs = []
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    dsd = slim.callbacks.DenseSparseDense(0.5, 1, 1, 1, verbose=0)
    found = compare(build, {"DSD": lambda: [dsd, seen]}, X, Y, epochs=3, seeds=2, validation_data=(X, Y), verbose=0)
    assert epochs == [0, 1, 2] * 2
    assert found.values["DSD"] != found.values["dense"]


def test_gain_is_the_paired_mean_and_students_interval():
    found = SeedComparison({"dense": {"accuracy": (0.5, 0.6, 0.7)}, "DSD": {"accuracy": (0.52, 0.61, 0.73)}})
    mean, low, high = found.gain("DSD", "accuracy")
    assert mean == pytest.approx(0.02)
    reach = 4.303 * 0.01 / math.sqrt(3)  # the gaps 0.02, 0.01, 0.03 have standard deviation 0.01
    assert (low, high) == (pytest.approx(mean - reach, abs=1e-5), pytest.approx(mean + reach, abs=1e-5))
    assert "accuracy, DSD: 0.6200 (0.5200 to 0.7300); +0.0200 (-0.0048 to +0.0448) against dense" in str(found)


def test_one_seed_has_no_interval():
    found = SeedComparison({"dense": {"loss": (1.0,)}, "DSD": {"loss": (0.5,)}})
    mean, low, high = found.gain("DSD", "loss")
    assert mean == -0.5
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042)])
def test_quantiles_are_those_of_the_tables(degrees, quantile):
    assert student_t(degrees) == pytest.approx(quantile, abs=2e-3)


def test_data_to_judge_by_is_needed():
    with pytest.raises(ValueError, match="Expected data to judge by"):
        compare(build, {"plain": list}, X, Y, epochs=1)


def test_the_name_of_the_control_is_taken():
    with pytest.raises(ValueError, match="other names than that of the control, 'dense'"):
        compare(build, {"dense": list}, X, Y, test=(X, Y))


def test_progress_is_told(capsys):
    compare(build, {"plain": list}, X, Y, seeds=1, test=(X, Y))
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "seed 0, dense",
        "seed 0, plain",
    ]

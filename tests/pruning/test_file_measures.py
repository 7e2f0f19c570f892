"""Cuts down to the bytes and the milliseconds of the exported file, checked on the file that the user exports."""

import os
import statistics
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import randomise, residual

import keras_slim as slim
from keras_slim.errors import ExportError
from keras_slim.pruning import FileBytes, FileLatency, Guards, file_measures

# How well a network of random weights answers is not the point, and with some widths it is worth a warning.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(in the same class as Keras|hardly differ from sample to sample):keras_slim.errors.SlimWarning"
)


def wide_perceptron():
    return keras.Sequential([keras.Input((32,)), *(layers.Dense(units, "relu") for units in (64, 64)), layers.Dense(5)])


def exported_bytes(model, path, quantize=None):
    data = np.random.default_rng(0).normal(size=(16, *model.input_shape[1:])).astype("float32")
    slim.export_tflite(model, path, quantize, data, verbose=0)
    return os.path.getsize(path)


def test_the_file_of_a_cut_by_bytes_weighs_what_the_plan_says(tmp_path):
    model = randomise(wide_perceptron())
    plan = slim.plan_pruning(model, 0.5, of="bytes", guards=Guards(align=1))
    assert exported_bytes(model, tmp_path / "dense.tflite") == plan.before.bytes
    assert exported_bytes(slim.shrink(model, plan), tmp_path / "small.tflite") == plan.after.bytes
    assert 0.97 * plan.before.bytes / 2 <= plan.after.bytes <= plan.before.bytes / 2
    assert plan.after.latency is None


def test_a_cut_by_latency_reaches_its_share_by_the_clock(monkeypatch):
    """The clock is made up: 5 ms for the network before the cut, of which a fifth does not depend on its parameters."""
    monkeypatch.setattr(file_measures, "load_unproved", lambda model, *args: model.count_params())
    monkeypatch.setattr(file_measures, "time_file", lambda *args, **kwargs: SimpleNamespace(median_ms=5.0))
    monkeypatch.setattr(file_measures, "relative_time", lambda file, whole: 0.2 + 0.8 * file / whole)
    plan = slim.plan_pruning(randomise(wide_perceptron()), 0.5, of="latency", guards=Guards(align=1))
    share = 0.2 + 0.8 * plan.after.params / plan.before.params
    assert (plan.before.latency, plan.after.latency) == (5.0, pytest.approx(5.0 * share))
    assert (1 - FileLatency.tolerance) * 0.5 <= share <= 0.5
    assert plan.after.bytes is None


def test_a_model_that_does_not_convert_says_so():
    inputs = keras.Input((8,))
    x = layers.Dense(8)(layers.Dense(8)(inputs))
    model = keras.Model(inputs, keras.ops.erfinv(keras.ops.tanh(x)))
    with pytest.raises(ExportError, match="does not convert"):
        slim.plan_pruning(model, 0.3, of="bytes")


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [None, "float16", "dynamic", "int8"])
def test_batch_norm_and_every_precision_are_weighed_as_exported(tmp_path, quantize):
    model = randomise(residual())
    plan = slim.plan_pruning(model, 0.4, of=FileBytes(quantize), guards=Guards(align=1))
    small = slim.shrink(model, plan)
    assert exported_bytes(model, tmp_path / "dense.tflite", quantize) == plan.before.bytes
    assert exported_bytes(small, tmp_path / "small.tflite", quantize) == plan.after.bytes
    assert 0.95 * 0.6 * plan.before.bytes <= plan.after.bytes <= 0.6 * plan.before.bytes


@pytest.mark.slow
def test_rounds_in_fit_come_down_to_bytes_of_the_trained_models_file(tmp_path):
    model = wide_perceptron()
    model.compile("adam", "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 32)), rng.normal(size=(64, 5))
    before = exported_bytes(model, tmp_path / "dense.tflite")
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, of="bytes", rounds=2, data=(x, y), verbose=0)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[pruning])
    after = exported_bytes(model, tmp_path / "small.tflite")
    assert after == pruning.rounds_done[-1]["bytes"] <= before / 2


def compute_bound():
    """Some milliseconds of convolutions, beside which what LiteRT itself takes does not count."""
    inputs = x = keras.Input((32, 32, 3))
    for _ in range(4):
        x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_half_of_the_latency_is_half_when_measured_afterwards(tmp_path, quantize):
    """Of three tries one must do: other work on the machine disturbs now and then what is measured."""
    model = randomise(compute_bound())
    paths = [tmp_path / "dense.tflite", tmp_path / "small.tflite"]
    tries = []
    for _ in range(3):
        plan = slim.plan_pruning(model, 0.5, of=FileLatency(quantize))
        for network, path in zip((model, slim.shrink(model, plan)), paths, strict=True):
            exported_bytes(network, path, quantize)
        planned, measured = plan.after.latency / plan.before.latency, share_of_time(*paths)
        tries.append((planned, measured))
        if 0.45 <= planned <= 0.5 and measured == pytest.approx(0.5, rel=0.1):
            return
    pytest.fail(f"planned and measured shares of the time: {tries}")


def share_of_time(dense, small):
    """Measures by another way than the search does: whole benchmarks of both files in turns, the fastest of each."""
    pairs = [[slim.benchmark_tflite(path, runs=40).min_ms for path in (small, dense)] for _ in range(9)]
    return statistics.median(one / other for one, other in pairs)

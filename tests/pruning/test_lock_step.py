"""Two networks go through data side by side: each call is made once for each sample, within a bound of memory."""

from collections import Counter

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import SlimWarning
from keras_slim.graph import program as programs
from keras_slim.graph.program import Program
from keras_slim.pruning import Calibration, Guards
from keras_slim.pruning.lock_step import LockStep

X = np.random.default_rng(0).normal(size=(48, 8, 8, 2)).astype("float32")
KIB = 2**10


def network(filters=(8, 8, 8), pool_after=1):
    """Convolutions on 8x8 images, then on 4x4."""
    x = inputs = keras.Input((8, 8, 2))
    for number, count in enumerate(filters, 1):
        x = layers.Conv2D(count, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        if number == pool_after:
            x = layers.MaxPooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def batches(size=16):
    return lambda: ([keras.ops.convert_to_tensor(X[first : first + size])] for first in range(0, len(X), size))


def pair(memory=2**30, stops=(2, 3), size=16):
    model = network()
    twin = keras.models.clone_model(model)
    return model, twin, LockStep(Program(model), Program(twin), batches(size), stops, memory)


def test_both_hold_what_they_compute():
    model, twin, networks = pair()
    for layer in ("conv_1", "conv_2"):
        pieces = networks.stop(2 if layer == "conv_1" else 3)
        pooled = layers.MaxPooling2D() if layer == "conv_1" else (lambda x: x)
        for network, side in ((model, "before"), (twin, "after")):
            expected = pooled(keras.Model(network.input, network.get_layer(layer).output)(X))
            found = np.concatenate([next(iter(getattr(piece, side).values())) for piece in pieces])
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_the_twin_is_given_at_a_stop_counts_from_there_on():
    _, twin, networks = pair()
    networks.stop(2)
    pooled = layers.MaxPooling2D()(keras.Model(twin.input, twin.get_layer("conv_1").output)(X[:16]))
    kernel = twin.get_layer("conv_2").kernel
    kernel.assign(2 * kernel)
    twin.get_layer("conv_1").kernel.assign(0 * twin.get_layer("conv_1").kernel)  # too late: this call is made
    (piece, *_) = networks.stop(3)
    (after,) = piece.after.values()
    expected = twin.get_layer("conv_2")(pooled)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)


def test_only_what_is_still_needed_is_held():
    _, _, networks = pair()
    for stop in (2, 3):
        assert all(len(piece.before) == len(piece.after) == 1 for piece in networks.stop(stop))


HELD = 2 * 4 * 4 * 8 * 4  # bytes of a sample at either stop: two networks, 4x4 positions, 8 channels, float32


@pytest.mark.parametrize(("memory", "samples"), [(48 * HELD, 48), (47 * HELD, 32), (16 * HELD, 16), (5 * HELD, 1)])
def test_as_many_samples_are_held_as_memory_allows(memory, samples):
    _, _, networks = pair(memory)
    networks.stop(2)
    assert samples <= networks.size <= memory / HELD
    assert networks.is_all == (networks.size == 48)


def test_one_sample_is_held_however_little_memory_there_is():
    _, _, networks = pair(memory=1)
    assert sum(piece.size for piece in networks.stop(2)) == 1


def test_samples_join_where_activations_are_smaller():
    """A stop at 8x8 positions, then one at 4x4."""
    model = network(pool_after=2)
    stops = 1, 3
    networks = LockStep(Program(model), Program(model), batches(4), stops, memory=20 * 4 * HELD)
    sizes = [sum(piece.size for piece in networks.stop(stop)) for stop in stops]
    assert sizes == [20, 48]


def test_none_join_where_a_later_stop_has_no_room_for_them():
    """Many filters, where few were."""
    model = network((8, 64, 8), pool_after=1)
    stops = 2, 3
    networks = LockStep(Program(model), Program(model), batches(4), stops, memory=8 * 8 * HELD)
    assert [sum(piece.size for piece in networks.stop(stop)) for stop in stops] == [8, 8]


def test_a_fixed_batch_is_not_divided():
    x = inputs = keras.Input(batch_shape=(16, 8, 8, 2))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(x)))
    networks = LockStep(Program(model), Program(model), batches(16), [1], memory=1)
    assert [piece.size for piece in networks.stop(1)] == [16]


def test_the_model_alone_sees_all_samples_whatever_the_memory():
    model, _, networks = pair(memory=4 * HELD)
    wanted = Program(model).places[id(model.get_layer("conv_2").output)][0]
    pieces = list(networks.alone({wanted}))
    assert sum(piece.size for piece in pieces) == len(X)
    assert sum(piece.share for piece in pieces) == pytest.approx(3)  # of three batches
    found = np.concatenate([piece.before[wanted] for piece in pieces])
    expected = keras.Model(model.input, model.get_layer("conv_2").output)(X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [3, 6])
def test_a_cut_makes_each_call_once_for_each_sample_and_network(depth, monkeypatch):
    made = Counter()
    make = programs.Call.__call__

    def counted(call, values):
        made[call.operation.name] += len(values[call.inputs[0]])
        return make(call, values)

    monkeypatch.setattr(programs.Call, "__call__", counted)
    model = network((8,) * depth)
    slim.shrink(model, slim.plan_pruning(model, 0.5, guards=Guards(align=1)), X)
    profiled = 8
    assert made["conv_1"] == made[f"conv_{depth}"] == 2 * len(X) + profiled
    assert "dense" not in made  # nothing is read behind it


def error(small, model):
    return float(np.square(np.asarray(small(X)) - np.asarray(model(X))).mean())


def test_a_cut_with_little_memory_is_made_up_for_and_told():
    model = network()
    plan = slim.plan_pruning(model, 0.4, guards=Guards(align=1))
    plain, full = error(slim.shrink(model, plan), model), error(slim.shrink(model, plan, X), model)
    with pytest.warns(SlimWarning, match=r"made up for with \d+ samples, not with all.*memory=8,192"):
        little = error(slim.shrink(model, plan, X, calibration=Calibration(memory=8 * KIB)), model)
    assert full < little < plain


@pytest.mark.parametrize(("memory", "problem"), [(0, ValueError), (1.5, TypeError)])
def test_memory_that_is_no_number_of_bytes_is_refused(memory, problem):
    with pytest.raises(problem, match="`memory` of `Calibration`. Expected an integer of at least 1"):
        Calibration(memory=memory)

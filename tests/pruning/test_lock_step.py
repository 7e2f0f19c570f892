"""Two networks go through data side by side: each call is made once for each sample, within a bound of memory."""

import gc
import weakref
from collections import Counter

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import SlimWarning
from keras_slim.graph import analyse
from keras_slim.graph import program as programs
from keras_slim.graph.program import Program
from keras_slim.pruning import Calibration, Guards, moments
from keras_slim.pruning.lock_step import LockStep
from keras_slim.pruning.silent_program import SilentProgram

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
        pieces = networks.carry_to(2 if layer == "conv_1" else 3)
        pooled = layers.MaxPooling2D() if layer == "conv_1" else (lambda x: x)
        for network, side in ((model, "before"), (twin, "after")):
            expected = pooled(keras.Model(network.input, network.get_layer(layer).output)(X))
            found = np.concatenate([next(iter(getattr(piece, side).values())) for piece in pieces])
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_the_twin_is_given_at_a_stop_counts_from_there_on():
    _, twin, networks = pair()
    networks.carry_to(2)
    pooled = layers.MaxPooling2D()(keras.Model(twin.input, twin.get_layer("conv_1").output)(X[:16]))
    kernel = twin.get_layer("conv_2").kernel
    kernel.assign(2 * kernel)
    twin.get_layer("conv_1").kernel.assign(0 * twin.get_layer("conv_1").kernel)  # too late: this call is made
    (piece, *_) = networks.carry_to(3)
    (after,) = piece.after.values()
    expected = twin.get_layer("conv_2")(pooled)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)


def test_only_what_is_still_needed_is_held():
    _, _, networks = pair()
    for stop in (2, 3):
        assert all(len(piece.before) == len(piece.after) == 1 for piece in networks.carry_to(stop))


HELD = 2 * 4 * 4 * 8 * 4  # bytes of a sample at either stop: two networks, 4x4 positions, 8 channels, float32


@pytest.mark.parametrize(("memory", "samples"), [(48 * HELD, 48), (47 * HELD, 32), (16 * HELD, 16), (5 * HELD, 1)])
def test_as_many_samples_are_held_as_memory_allows(memory, samples):
    _, _, networks = pair(memory)
    networks.carry_to(2)
    assert samples <= networks.size <= memory / HELD
    assert networks.is_all == (networks.size == 48)


def test_one_sample_is_held_however_little_memory_there_is():
    _, _, networks = pair(memory=1)
    assert sum(piece.size for piece in networks.carry_to(2)) == 1


def test_samples_join_where_activations_are_smaller():
    """A stop at 8x8 positions, then one at 4x4."""
    model = network(pool_after=2)
    stops = 1, 3
    networks = LockStep(Program(model), Program(model), batches(4), stops, memory=20 * 4 * HELD)
    sizes = [sum(piece.size for piece in networks.carry_to(stop)) for stop in stops]
    assert sizes == [20, 48]


def test_none_join_where_a_later_stop_has_no_room_for_them():
    """Many filters, where few were."""
    model = network((8, 64, 8), pool_after=1)
    stops = 2, 3
    networks = LockStep(Program(model), Program(model), batches(4), stops, memory=8 * 8 * HELD)
    assert [sum(piece.size for piece in networks.carry_to(stop)) for stop in stops] == [8, 8]


def test_a_fixed_batch_is_not_divided():
    x = inputs = keras.Input(batch_shape=(16, 8, 8, 2))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(x)))
    networks = LockStep(Program(model), Program(model), batches(16), [1], memory=1)
    assert [piece.size for piece in networks.carry_to(1)] == [16]


def test_the_model_alone_sees_all_samples_whatever_the_memory():
    model, _, networks = pair(memory=4 * HELD)
    places = Program(model).places
    wanted = [places[id(tensor)][0] for tensor in (model.inputs[0], model.get_layer("conv_2").output)]
    seen, shares = {number: [] for number in wanted}, 0
    for piece in networks.pieces(batches()):
        shares += piece.share
        for number, value in networks.alone(piece, wanted):
            seen[number].append(value)
    assert shares == pytest.approx(3)  # batches
    np.testing.assert_array_equal(np.concatenate(seen[wanted[0]]), X)
    expected = keras.Model(model.input, model.get_layer("conv_2").output)(X)
    np.testing.assert_allclose(np.concatenate(seen[wanted[1]]), expected, rtol=1e-5, atol=1e-6)


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
    assert made["conv_1"] == made[f"conv_{depth}"] == 2 * len(X)
    assert "dense" not in made  # nothing is read behind it


def error(small, model):
    return float(np.square(np.asarray(small(X)) - np.asarray(model(X))).mean())


def test_a_cut_with_little_memory_is_made_up_for_and_told():
    model = network()
    plan = slim.plan_pruning(model, 0.4, guards=Guards(align=1))
    plain, full = error(slim.shrink(model, plan), model), error(slim.shrink(model, plan, X), model)
    with pytest.warns(
        SlimWarning, match=r"as few as \d+ samples in some layers, and with \d+ in the last.*memory=8,192"
    ):
        little = error(slim.shrink(model, plan, X, calibration=Calibration(memory=8 * KIB)), model)
    assert full < little < plain


def mixing():
    """Four images are one sample of what follows."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Flatten()(layers.Conv2D(8, 3, strides=2, activation="relu")(inputs))
    x = layers.Dense(8, "relu")(keras.ops.reshape(x, (-1, 4, x.shape[-1])))
    return keras.Model(inputs, layers.Dense(3)(x))


def gathering():
    """The second input says which rows of the first there are."""
    nodes, edges = keras.Input((16,)), keras.Input((2,), dtype="int32")
    x = layers.Dense(16, "relu")(nodes)
    x = layers.Dense(8, "relu")(keras.ops.take(x, edges[:, 0], axis=0))
    return keras.Model([nodes, edges], layers.Dense(3)(x))


RNG = np.random.default_rng(1)
NODES = RNG.normal(size=(48, 16)).astype("float32"), RNG.integers(0, 48, (30, 2)).astype("int32")


@pytest.mark.parametrize(("build", "x"), [(mixing, X), (gathering, NODES)], ids=["mixing", "gathering"])
@pytest.mark.parametrize("memory", [2**30, 2 * KIB])
@pytest.mark.filterwarnings("ignore:A cut was made up for with as few as")
def test_a_batch_that_is_one_whole_is_not_divided(build, x, memory):
    model = build()
    plan, batch = slim.plan_pruning(model, 0.4, guards=Guards(align=1)), list(x) if isinstance(x, tuple) else x
    made_up_for = slim.shrink(model, plan, iter([(batch,)]), steps=1, calibration=Calibration(memory=memory))
    errors = [np.square(small(batch) - model(batch)).mean() for small in (made_up_for, slim.shrink(model, plan))]
    assert errors[0] < 0.9 * errors[1]


def test_what_is_held_with_many_live_tensors_stays_within_memory():
    """Each block adds what all before it put out, so that all of it is held."""
    inputs, before = keras.Input((8, 8, 2)), []
    x = inputs
    for _ in range(6):
        x = layers.Conv2D(4, 1)(x)
        before.append(x)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Add()(before)))
    memory = 100_000
    networks = LockStep(Program(model), Program(model), batches(), [6], memory)
    pieces = networks.carry_to(6)
    held = sum(
        np.asarray(value).nbytes for piece in pieces for value in (*piece.before.values(), *piece.after.values())
    )
    assert memory / 2 < held <= memory


def test_samples_that_come_one_by_one_go_into_both_halves():
    moment = moments.Moments(np.arange(3)[:, None], np.array([True, True, False]), np.arange(3))
    rng = np.random.default_rng(0)
    for row in rng.normal(size=(7, 1, 3)):
        moment.add(row, row, rng)
    assert [half.count for half in moment._halves] == [4, 3]


def test_random_layers_that_stay_on_draw_the_same_in_both_networks():
    inputs = keras.Input((16,))
    x = layers.Dropout(0.5)(layers.Dense(32, "relu", name="first")(inputs), training=True)
    model = keras.Model(inputs, layers.Dense(4)(x))
    graph, program = analyse(model), Program(model)
    twin = SilentProgram(graph, np.ones(graph.num_units, bool), program)
    networks = LockStep(program, twin, lambda: iter([[keras.ops.ones((8, 16))]]), [2], 2**20)
    (piece,) = networks.carry_to(2)
    assert (np.asarray(piece.before[2]) == 0).any()
    np.testing.assert_array_equal(piece.before[2], piece.after[2])


class OwnNormalization(layers.Normalization):
    """One of the user's own."""


def test_a_normalization_of_the_users_own_computes_in_the_twin_as_in_the_model():
    inputs = keras.Input((16,))
    norm = OwnNormalization(mean=3.0, variance=4.0)
    adapted = OwnNormalization()
    adapted.adapt(np.random.default_rng(0).normal(5, 3, (64, 16)))
    x = layers.Dense(8, "relu")(adapted(norm(inputs)))
    model = keras.Model(inputs, layers.Dense(4)(x))
    graph, program = analyse(model), Program(model)
    twin = SilentProgram(graph, np.ones(graph.num_units, bool), program)
    networks = LockStep(program, twin, lambda: iter([[keras.ops.ones((8, 16))]]), [2], 2**20)
    (piece,) = networks.carry_to(2)
    np.testing.assert_array_equal(piece.before[2], piece.after[2])


def test_padded_positions_stay_masked_where_attention_is_made_up_for():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, mask_zero=True)(inputs)
    attention = layers.MultiHeadAttention(4, 3, name="attention")
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(attention(x, x))))
    tokens = np.random.default_rng(0).integers(1, 20, (32, 6)) * (np.arange(6) < 3)
    seen = []
    original = attention._compute_attention_mask
    attention._compute_attention_mask = lambda *args, **options: (
        seen.append(options["query_mask"]) or original(*args, **options)
    )
    slim.shrink(model, slim.plan_pruning(model, 0.4, guards=Guards(min_units=1, align=1)), tokens)
    assert len(seen) >= 2
    assert all(mask is not None for mask in seen)


def test_networks_that_wait_for_nothing_more_are_given_back(monkeypatch):
    held = []
    make = LockStep.__init__

    def noted(self, *args):
        make(self, *args)
        held.append(weakref.ref(self))

    monkeypatch.setattr(LockStep, "__init__", noted)
    model = network()
    plan = slim.plan_pruning(model, 0.4, guards=Guards(align=1))
    gc.disable()
    try:
        with pytest.warns(SlimWarning):
            slim.shrink(model, plan, X, calibration=Calibration(memory=8 * KIB))
        assert held[0]() is None
    finally:
        gc.enable()


def test_nothing_is_told_where_all_is_seen_by_the_model_alone():
    """One encoder for two inputs: its weights read several values."""
    encoder = keras.Sequential([keras.Input((16,)), layers.Dense(8, "relu"), layers.Dense(8, "relu")])
    first, second = keras.Input((16,)), keras.Input((16,))
    model = keras.Model([first, second], layers.Subtract()([encoder(first), encoder(second)]))
    data = [NODES[0], NODES[0][::-1]]
    slim.shrink(model, slim.plan_pruning(model, 0.4, guards=Guards(align=1)), (data,))


@pytest.mark.parametrize(("memory", "problem"), [(0, ValueError), (1.5, TypeError)])
def test_memory_that_is_no_number_of_bytes_is_refused(memory, problem):
    with pytest.raises(problem, match="`memory` of `Calibration`. Expected an integer of at least 1"):
        Calibration(memory=memory)

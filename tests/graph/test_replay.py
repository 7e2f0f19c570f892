"""A replay answers as the changed model does, and computes no more than what comes after the change."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.graph.replay import Replay

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


class Counted(layers.Layer):
    """Hands on its input, and counts how often."""

    count = 0

    def call(self, inputs):
        self.count += 1
        return inputs


@pytest.fixture
def model():
    """Two branches that meet; a model inside the model is called in each."""
    inside_inputs = keras.Input((4,))
    inside = keras.Model(inside_inputs, layers.Dense(4, name="inside")(inside_inputs))
    inputs = keras.Input((4,))
    left = Counted(name="after_left")(layers.Dense(4, name="left")(inside(inputs)))
    right = Counted(name="after_right")(inside(layers.Dense(4, name="right")(inputs)))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Add()([left, right])))


@pytest.mark.parametrize(
    ("changed", "left_runs", "right_runs"), [("left", 2, 1), ("right", 1, 2), ("head", 1, 1), ("inside", 2, 2)]
)
def test_what_comes_after_a_change_is_computed_again(model, changed, left_runs, right_runs):
    counted = model.get_layer("after_left"), model.get_layer("after_right")
    for layer in counted:
        layer.count = 0
    replay = Replay(model, [keras.ops.convert_to_tensor(X)])
    inner = next(each for each in model.layers if isinstance(each, keras.Model))
    layer = inner.get_layer(changed) if changed == "inside" else model.get_layer(changed)
    layer.kernel.assign(layer.kernel * 2)
    outputs = replay.again(lambda operation: operation if operation is layer else None)
    assert [each.count for each in counted] == [left_runs, right_runs]
    np.testing.assert_allclose(outputs, model(X), rtol=1e-6)


def test_something_else_may_take_a_layers_place(model):
    replay = Replay(model, [keras.ops.convert_to_tensor(X)])
    head = model.get_layer("head")
    outputs = replay.again(lambda operation: (lambda inputs: head(inputs) + 1) if operation is head else None)
    np.testing.assert_allclose(outputs, model(X) + 1, rtol=1e-6)


def test_every_run_starts_from_the_same_state():
    model = keras.Sequential([keras.Input(batch_shape=(5, 3, 4)), layers.GRU(3, stateful=True), layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")
    replay = Replay(model, [keras.ops.convert_to_tensor(x)])
    outputs = replay.again(lambda operation: operation)
    np.testing.assert_array_equal(outputs, replay.outputs)
    np.testing.assert_allclose(model(x), replay.outputs, rtol=1e-6)


def test_the_state_is_read_once_and_what_runs_leave_alone_is_not_written(monkeypatch):
    """What a normalization knows of its data stays as it is at inference; the state of the recurrent layer does not."""
    recurrent, norm = layers.GRU(3, stateful=True), layers.BatchNormalization()
    model = keras.Sequential([keras.Input(batch_shape=(5, 3, 4)), recurrent, norm, layers.Dense(2)])
    x = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32"))
    replay, read, written = Replay(model, [x]), [], []
    monkeypatch.setattr(keras.ops, "convert_to_numpy", read.append)
    assign = keras.Variable.assign
    monkeypatch.setattr(keras.Variable, "assign", lambda self, value: written.append(self) or assign(self, value))
    for _ in range(3):
        outputs = replay.again(lambda operation: operation)
    assert read == []
    assert not {id(each) for each in written} & {id(each) for each in norm.variables}
    monkeypatch.undo()
    np.testing.assert_array_equal(outputs, replay.outputs)
    np.testing.assert_array_equal(recurrent.states[0], np.zeros((5, 3)))


def test_what_calls_add_to_the_loss_belongs_to_the_last_run():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, activity_regularizer="l1"), layers.Dense(2)])
    replay = Replay(model, [keras.ops.convert_to_tensor(X)])
    (before,) = map(float, model.losses)
    first, head = model.layers
    replay.again(lambda operation: (lambda inputs: 2 * first(inputs / 2)) if operation is first else None)
    replay.again(lambda operation: operation if operation is head else None)
    assert float(model.losses[0]) == pytest.approx(before)

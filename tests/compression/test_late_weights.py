"""Models whose weights take memory only once they are known, whatever layers they have."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.compression import load_compressed, save_compressed
from keras_slim.compression.late_weights import load_late
from keras_slim.errors import CompressedFileError

drawn = []


class Recorded(keras.initializers.Initializer):
    """Notes what it draws."""

    def __call__(self, shape, dtype=None):
        drawn.append(tuple(shape))
        return keras.ops.ones(shape, dtype)


class Own(layers.Layer):
    """A layer with a weight that Keras saves, and one that it does not."""

    def build(self, shape):
        self.saved = self.add_weight(shape=(3,), initializer=Recorded())
        self.other = self.add_weight(shape=(4,), initializer=Recorded())

    def call(self, x):
        return x

    def save_own_variables(self, store):
        store["saved"] = keras.ops.convert_to_numpy(self.saved)

    def load_own_variables(self, store):
        self.saved.assign(store["saved"])


class ByValue(layers.Layer):
    """A layer that creates its variable from values."""

    def build(self, shape):
        self.factor = keras.Variable(np.ones(shape[-1], "float32"))

    def call(self, x):
        return x * self.factor


@pytest.fixture(autouse=True)
def nothing_drawn():
    drawn.clear()


def saved(path, *inner, shape=(3,)):
    """Saves a model of some layers with random weights, and returns it."""
    model = keras.Sequential([keras.Input(shape), *inner])
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    save_compressed(model, path)
    drawn.clear()
    return model


def test_only_what_the_file_lacks_is_drawn(tmp_path):
    """Fails where a version of Keras does not defer variables as this one does."""
    model = saved(tmp_path / "model", Own())
    same = load_compressed(tmp_path / "model", {"Own": Own, "Recorded": Recorded})
    assert drawn == [(4,)]
    np.testing.assert_array_equal(same.layers[0].saved, model.layers[0].saved)
    np.testing.assert_array_equal(same.layers[0].other, np.ones(4))


def test_loaded_weights_are_trained(tmp_path):
    saved(tmp_path / "model", layers.BatchNormalization(), layers.Dense(2))
    model = load_compressed(tmp_path / "model")
    before = model.get_weights()
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, 3))
    model.fit(x, x[:, :2], verbose=0)
    assert not any(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("inner", [ByValue, lambda: layers.LSTM(2, stateful=True)], ids=["own", "stateful"])
def test_variables_created_from_values(inner, tmp_path):
    inner = inner()
    shape = {"batch_shape": (1, 2, 3)} if inner.name.startswith("lstm") else {"shape": (3,)}
    model = keras.Sequential([keras.Input(**shape), inner])
    save_compressed(model, tmp_path / "model")
    same = load_compressed(tmp_path / "model", {"ByValue": ByValue})
    for old, new in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


MANY = 1 << 40


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.EinsumDense("ab,bc->ac", (MANY,)),
        lambda: layers.MultiHeadAttention(1 << 20, 1 << 20),
        lambda: layers.SeparableConv2D(MANY, 1),
        lambda: layers.PReLU(),
        lambda: layers.Bidirectional(layers.LSTM(1 << 20)),
    ],
    ids=["EinsumDense", "MultiHeadAttention", "SeparableConv2D", "PReLU", "Bidirectional"],
)
def test_every_layer_is_bounded(layer):
    """None of them would be told too large by its configuration alone."""
    layer = layer()
    shapes = {"MultiHeadAttention": [(2, 3, 4)] * 2, "SeparableConv2D": [(2, 3, 3, 2)], "PReLU": [(2, MANY)]}
    shapes |= {"Bidirectional": [(2, 3, 4)]}
    with pytest.raises(CompressedFileError, match="Expected 1,000,000 at most"):
        load_late(lambda: layer.build(*shapes.get(type(layer).__name__, [(2, 4)])), 1_000_000)


def test_a_model_that_is_refused_takes_no_memory_later():
    def load():
        keras.Variable(Recorded(), shape=(1000,))
        raise OSError("no file")

    with pytest.raises(CompressedFileError, match="takes 4,000 bytes. Expected 3,999 at most"):
        load_late(load, 3_999)
    with pytest.raises(OSError, match="no file"):
        load_late(load, 4_000)
    with keras.StatelessScope():
        kept = keras.Variable("zeros", shape=(2,))
    assert drawn == []
    np.testing.assert_array_equal(kept, [0, 0])

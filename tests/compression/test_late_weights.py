"""Models whose weights take memory only once they are known, whatever layers they have."""

import keras
import numpy as np
import pytest
import tensorflow as tf
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


@pytest.fixture(autouse=True)
def nothing_drawn():
    drawn.clear()


class Own(layers.Layer):
    """A layer with a weight that is loaded, and one that is not."""

    def build(self, shape):
        self.saved = self.add_weight(shape=(3,), initializer=Recorded())
        self.other = self.add_weight(shape=(4,), initializer=Recorded())


def test_only_what_the_file_lacks_is_drawn():
    """Fails where a version of Keras does not defer variables as this one does."""

    def load():
        layer = Own()
        layer.build((2,))
        layer.saved.assign([1, 2, 3])
        return layer

    layer = load_late(load, 28)
    assert drawn == [(4,)]
    np.testing.assert_array_equal(layer.saved, [1, 2, 3])
    np.testing.assert_array_equal(layer.other, np.ones(4))


def randomised(*inner, batch_shape=(None, 3)):
    """Returns a model of some layers with random weights."""
    model = keras.Sequential([keras.Input(batch_shape=batch_shape), *inner])
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    return model


def loaded(model, path, *own):
    """Returns a model as it is after it was saved, its weights checked, which Keras may leave out silently."""
    save_compressed(model, path / "model.slim.h5")
    same = load_compressed(path / "model.slim.h5", {each.__name__: each for each in own})
    for old, new in zip(model.weights, same.weights, strict=True):
        np.testing.assert_array_equal(new, old)
    return same


def test_nothing_is_drawn_for_a_stock_model(tmp_path, monkeypatch):
    model = randomised(layers.Dense(4, "relu", name="one"), layers.Dense(2))
    draw = keras.initializers.GlorotUniform.__call__

    def recorded(self, shape, dtype=None):
        if tf.executing_eagerly():
            drawn.append(shape)
        return draw(self, shape, dtype)

    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", recorded)
    loaded(model, tmp_path)
    assert drawn == []


def test_loaded_weights_are_trained(tmp_path):
    model = loaded(randomised(layers.BatchNormalization(), layers.Dense(2)), tmp_path)
    before = model.get_weights()
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, 3))
    model.fit(x, x[:, :2], verbose=0)
    assert not any(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


class Traced(layers.Layer):
    """A layer whose weights TensorFlow traces once."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],))

    def call(self, x):
        return self.scaled(x)

    @tf.function
    def scaled(self, x):
        return x * self.factor


class ByValue(layers.Layer):
    """A layer that creates its variable from values, and keeps a tensor."""

    def build(self, shape):
        self.factor = keras.Variable(np.ones(shape[-1], "float32"))
        self.raw = self.factor.value

    def call(self, x):
        return x * self.raw


class Inner(keras.Model):
    """A model whose `build` Keras tries, and passes over where it fails."""

    def __init__(self, **options):
        super().__init__(**options)
        self.factor, self.scores = ByValue(), layers.Dense(2)

    def build(self, shape):
        self.factor.build(shape)
        self.scores.build(shape)

    def call(self, x):
        return self.scores(self.factor(x))


@pytest.mark.parametrize(
    ("inner", "own"),
    [
        (Traced, [Traced]),
        (ByValue, [ByValue]),
        (Inner, [Inner, ByValue]),
        (lambda: layers.Dense(3, kernel_initializer=Recorded()), [Recorded]),
        (lambda: layers.TimeDistributed(layers.Dense(2)), []),
        (lambda: layers.LSTM(2, stateful=True), []),
        (lambda: keras.Sequential([layers.GRU(2, stateful=True, return_sequences=True), layers.Dense(2)]), []),
    ],
    ids=["traced", "by value", "model", "initializer", "wrapper", "stateful", "stateful inside"],
)
def test_layers_of_all_kinds(inner, own, tmp_path):
    x = np.random.default_rng(1).normal(size=(1, 2, 3)).astype("float32")
    model = randomised(inner(), batch_shape=x.shape)
    same = loaded(model, tmp_path, *own)
    np.testing.assert_array_equal(same(x), model(x))


def test_within_a_scope_a_model_is_loaded_as_keras_does(tmp_path):
    save_compressed(randomised(layers.Dense(2)), tmp_path / "model.slim.h5")
    with keras.StatelessScope():
        same = load_compressed(tmp_path / "model.slim.h5")
    same.layers[0].bias.assign([1, 2])
    np.testing.assert_array_equal(same.layers[0].bias, [1, 2])


MANY = 1 << 40


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.EinsumDense("ab,bc->ac", (MANY,)),
        lambda: layers.MultiHeadAttention(1 << 20, 1 << 20),
        lambda: layers.SeparableConv2D(MANY, 1),
        lambda: layers.PReLU(),
        lambda: layers.Normalization(),
        lambda: layers.Bidirectional(layers.LSTM(1 << 20)),
    ],
    ids=["EinsumDense", "MultiHeadAttention", "SeparableConv2D", "PReLU", "Normalization", "Bidirectional"],
)
def test_every_layer_is_bounded(layer):
    """None of them would be told too large by its configuration alone."""
    layer = layer()
    shapes = {
        "MultiHeadAttention": [(2, 3, 4)] * 2,
        "SeparableConv2D": [(2, 3, 3, 2)],
        "PReLU": [(2, MANY)],
        "Normalization": [(2, MANY)],
    }
    shapes |= {"Bidirectional": [(2, 3, 4)]}
    with pytest.raises(CompressedFileError, match="Expected 1,000,000 at most"):
        load_late(lambda: layer.build(*shapes.get(type(layer).__name__, [(2, 4)])), 1_000_000)


def test_a_model_that_is_refused_takes_no_memory_later():
    def load():
        keras.Variable(Recorded(), shape=(1000,))
        raise OSError("no file")

    with pytest.raises(CompressedFileError, match="takes at least 4,000 bytes. Expected 3,999 at most"):
        load_late(load, 3_999)
    with pytest.raises(OSError, match="no file"):
        load_late(load, 4_000)
    with keras.StatelessScope():
        kept = keras.Variable("zeros", shape=(2,))
    assert drawn == []
    np.testing.assert_array_equal(kept, [0, 0])

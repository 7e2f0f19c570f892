"""Recurrent layers and attention that become smaller in the middle of `fit`."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.pruning import Guards


def recurrent():
    inputs = keras.Input((8,), dtype="int32")
    x = layers.Embedding(10, 12, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(12, return_sequences=True))(x)
    return keras.Model(inputs, layers.Dense(2, "softmax")(layers.GRU(12)(x)))


def transformer():
    inputs = keras.Input((8,), dtype="int32")
    x = layers.Embedding(10, 16)(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(4, 8)(*2 * [layers.LayerNormalization()(x)])])
    y = layers.Dense(24, "gelu")(layers.LayerNormalization()(x))
    x = layers.GlobalAveragePooling1D()(layers.Add()([x, layers.Dense(16)(y)]))
    return keras.Model(inputs, layers.Dense(2, "softmax")(x))


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["l2", "taylor"])
@pytest.mark.parametrize("build", [recurrent, transformer])
def test_it_learns_while_it_shrinks(build, criterion, tmp_path):
    """Is there a 7 in the sequence? Half of the units are enough to tell."""
    x = np.random.default_rng(0).integers(1, 10, size=(512, 8))
    y = (x == 7).any(axis=1).astype(int)
    model = build()
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    before = model.count_params()
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        ratio=0.5,
        rounds=2,
        window=(0.3, 0.7),
        criterion=criterion,
        data=(x[:64], y[:64]) if criterion == "taylor" else None,
        guards=Guards(min_units=1, align=1),
        verbose=0,
    )
    model.fit(x, y, epochs=10, verbose=0, callbacks=[pruning])
    assert model.count_params() < 0.6 * before
    _, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy > 0.95
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "model.keras").predict(x, verbose=0), model.predict(x, verbose=0)
    )

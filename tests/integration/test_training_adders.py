"""Training an adder network while it is pruned."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.layers import AdderConv2D


def network():
    """Ordinary ends, and a residual sum of adder convolutions in between."""
    inputs = keras.Input((8, 8, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(inputs)))
    y = layers.ReLU()(layers.BatchNormalization()(AdderConv2D(8, 3, padding="same", use_bias=False)(x)))
    y = layers.BatchNormalization()(AdderConv2D(8, 3, padding="same", use_bias=False)(y))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, y])))
    return keras.Model(inputs, layers.Dense(2, "softmax")(x))


@pytest.mark.slow
def test_it_is_pruned_inside_fit_and_goes_on_learning(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=256)
    x = rng.normal(size=(256, 8, 8, 1)).astype("float32")
    x[y == 1, 2:6, 2:6] += 1.0  # a square in the middle
    model = network()
    before = slim.profile(model)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        ratio=0.5, of="macs", criterion="taylor", debias="l2", rounds=2, window=(0.3, 0.6), data=(x[:64], y[:64]),
        guards=slim.pruning.Guards(align=1),
    )  # fmt: skip
    history = model.fit(x, y, epochs=8, verbose=0, callbacks=[pruning])
    after = slim.profile(model)
    assert after.macs <= 0.5 * before.macs
    assert [layer.multiplications for layer in after.layers if layer.kind == "AdderConv2D"] == [0, 0]
    assert history.history["accuracy"][-1] > 0.9
    model.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(loaded.predict(x[:8], verbose=0), model.predict(x[:8], verbose=0))

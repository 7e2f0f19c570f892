"""Families of convolutional networks that become smaller in the middle of `fit`, on real digits."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.datasets import load_digits
from keras_slim.pruning import Guards


def convolution(x, filters, kernel_size=3):
    x = layers.Conv2D(filters, kernel_size, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def head(x, name="digit"):
    return layers.Dense(10, "softmax", name=name)(layers.GlobalAveragePooling2D()(x))


def residual():
    inputs = keras.Input((8, 8, 1))
    x = convolution(inputs, 16)
    x = layers.MaxPooling2D()(layers.Add()([x, convolution(convolution(x, 16), 16)]))
    return keras.Model(inputs, head(convolution(x, 32)))


def densely_connected():
    inputs = keras.Input((8, 8, 1))
    x = convolution(inputs, 16)
    for _ in range(2):
        x = layers.Concatenate()([x, convolution(x, 12)])
    return keras.Model(inputs, head(convolution(layers.MaxPooling2D()(x), 32)))


def depthwise():
    inputs = keras.Input((8, 8, 1))
    x = convolution(inputs, 16)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    x = layers.Add()([layers.MaxPooling2D()(convolution(x, 24, 1)), layers.Conv2D(24, 2, 2)(x)])
    return keras.Model(inputs, head(layers.SeparableConv2D(32, 3, activation="relu")(x)))


def several_outputs():
    """The digit, and whether it is odd."""
    inputs = keras.Input((8, 8, 1))
    x = layers.MaxPooling2D()(convolution(convolution(inputs, 16), 16))
    odd = layers.Dense(1, "sigmoid", name="odd")(layers.Flatten()(convolution(x, 8)))
    return keras.Model(inputs, {"digit": head(convolution(x, 24)), "odd": odd})


def nested():
    """A model within the model, called twice: on the image, and on the image upside down."""
    inputs = keras.Input((8, 8, 1))
    features = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(16, 3), layers.ReLU(), layers.Conv2D(24, 3)])
    flipped = keras.ops.flip(inputs, axis=1)
    x = layers.Concatenate()([features(inputs), features(flipped)])
    return keras.Model(inputs, head(convolution(x, 24)))


@pytest.mark.slow
@pytest.mark.parametrize("build", [residual, densely_connected, depthwise, several_outputs, nested])
def test_it_learns_while_it_shrinks(build, tmp_path):
    (x, digits), (x_val, digits_val), _ = load_digits()
    keras.utils.set_random_seed(0)
    model = build()
    losses = {"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy"}
    if isinstance(model.output, dict):
        loss, metrics, targets = losses, {"digit": "accuracy"}, lambda digits: {"digit": digits, "odd": digits % 2}
    else:
        loss, metrics, targets = losses["digit"], ["accuracy"], lambda digits: digits
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=metrics, jit_compile=False)
    before = slim.profile(model)
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        ratio=0.6,
        of="macs",
        rounds=3,
        window=(0.3, 0.6),
        data=(x[:256], targets(digits[:256])),
        guards=Guards(align=1),
        verbose=0,
    )
    validation = x_val, targets(digits_val)
    history = model.fit(
        x, targets(digits), epochs=14, validation_data=validation, verbose=0, callbacks=[pruning]
    ).history
    (accuracy,) = (values for name, values in history.items() if name.startswith("val_") and name.endswith("accuracy"))
    assert accuracy[-1] > 0.9

    after = slim.profile(model)
    assert after.macs <= 0.4 * before.macs
    assert (after.macs, after.parameters) == (pruning.rounds_done[-1]["macs"], pruning.rounds_done[-1]["params"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    keras.tree.map_structure(
        np.testing.assert_array_equal, loaded.predict(x_val, verbose=0), model.predict(x_val, verbose=0)
    )

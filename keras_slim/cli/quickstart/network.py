"""The network of the quickstart: a residual sum and batch norm, small enough to train in half a minute."""

import keras
from keras import layers

WIDTH = 32

# An epoch has 38 steps only: with Keras's 0.99 the moving statistics would lag behind by three epochs.
MOMENTUM = 0.9


def build_network(steps):
    """Returns the network, compiled.

    Args:
        steps: Number of training steps in all; the learning rate falls along a cosine to a fiftieth.

    Returns:
        A Functional model for images of shape `(8, 8, 1)` and ten classes.
    """
    image = keras.Input((8, 8, 1), name="image")
    x = layers.ReLU()(_convolution(image, WIDTH, "stem"))
    y = layers.ReLU()(_convolution(x, WIDTH, "branch_1"))
    y = _convolution(y, WIDTH, "branch_2")
    x = layers.ReLU()(layers.Add(name="sum")([x, y]))
    x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(_convolution(x, 2 * WIDTH, "wide"))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(x), name="digits")
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.02)
    model.compile(
        keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # on CPUs, compiling takes longer than it saves
    )
    return model


def _convolution(x, filters, name):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)

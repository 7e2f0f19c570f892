"""Small models of adder layers, which read their inputs by distances."""

import keras
from keras import layers

from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D


def adder_residual():
    """Sums of adder convolutions with and without normalisation behind, a shortcut with a stride, ordinary ends."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = AdderConv2D(8, 3, padding="same")(x)
    x = layers.Add()([x, AdderConv2D(8, 1, use_bias=False)(layers.LeakyReLU()(y))])
    y = layers.BatchNormalization()(AdderConv2D(12, 3, strides=2, padding="same", use_bias=False)(x))
    x = layers.LeakyReLU()(layers.Add()([y, AdderConv2D(12, 1, strides=2)(x)]))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def adder_depthwise():
    """Channels kept apart in the middle, groups, and a flattened image that is read by distances."""
    inputs = keras.Input((5, 5, 2))
    x = AdderConv2D(8, 2, activation="softsign")(inputs)
    x = layers.BatchNormalization()(AdderDepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    x = AdderConv2D(12, 2, groups=4, strides=2)(x)
    x = layers.Concatenate()([x, AdderConv2D(24, 1, groups=12)(layers.BatchNormalization()(x))])
    x = AdderDense(10, activation="softsign")(layers.Flatten()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, AdderDense(3)(x))


def adder_channels_first():
    inputs = keras.Input((2, 5, 4))
    x = AdderConv2D(8, 3, padding="same", data_format="channels_first")(inputs)
    x = layers.LeakyReLU()(layers.BatchNormalization(axis=1)(x))
    x = AdderDepthwiseConv2D(2, data_format="channels_first")(x)
    x = AdderConv2D(6, 2, dilation_rate=2, padding="same", data_format="channels_first")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten(data_format="channels_first")(x)))


def adder_sequence():
    """One axis, a layer that is called twice, and one that is applied at every step."""
    inputs = keras.Input((8, 3))
    x = AdderConv1D(8, 3, padding="causal", activation="softsign")(inputs)
    shared = AdderConv1D(8, 2, groups=2, padding="same", name="shared")
    x = layers.BatchNormalization()(shared(layers.BatchNormalization()(shared(x))))
    x = AdderDense(6, "leaky_relu")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


BUILDERS = [adder_residual, adder_depthwise, adder_channels_first, adder_sequence]

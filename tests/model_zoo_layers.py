"""Small models of every convolution and every normalisation."""

import keras
from keras import layers


def grouped():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(24, 3, groups=3, padding="same", activation="tanh")(x)
    x = layers.Conv2D(16, 1, groups=4)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def depthwise():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu6")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(16, 1)(y))
    x = layers.Add()([x, y])
    x = layers.Conv2D(32, 3, groups=16)(x)
    x = layers.Conv2D(32, 3, groups=32, padding="same")(x)
    x = layers.SeparableConv2D(12, 3, depth_multiplier=3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def squeeze_and_excite():
    inputs = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(16, 1, activation="swish")(inputs))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(16, 1, activation="sigmoid")(layers.Conv2D(8, 1, activation="relu")(gate))
    x = layers.Multiply()([x, gate])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling2D()(layers.Conv2D(8, 1)(x))))


def one_dimensional_rarer():
    inputs = keras.Input((12, 4))
    x = layers.Conv1DTranspose(12, 3, strides=2)(inputs)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2)(x)
    x = layers.PReLU(shared_axes=[1])(layers.SeparableConv1D(16, 3)(x))
    x = layers.PReLU()(layers.Conv1D(12, 2)(x))
    x = layers.AdaptiveAveragePooling1D(4)(layers.Cropping1D(1)(x))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def decoder():
    inputs = keras.Input((4, 4, 6))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2DTranspose(12, 3, strides=2, padding="same", activation="elu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.ZeroPadding2D(1)(layers.Cropping2D(1)(x))
    return keras.Model(inputs, layers.Conv2DTranspose(3, 2)(x))


def layer_normalised():
    inputs = keras.Input((6, 6, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(inputs)
    x = layers.Conv2D(16, 3, padding="same")(layers.Rescaling(1 / 255)(x))
    y = layers.Conv2D(16, 7, groups=16, padding="same")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Dense(16)(layers.Dense(32, "gelu")(y))
    x = layers.Add()([x, y])
    x = layers.LayerNormalization(axis=[2, 3])(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization(center=False)(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def otherwise_normalised():
    inputs = keras.Input((6, 6, 3))
    x = layers.GroupNormalization(4)(layers.Conv2D(24, 3)(inputs))
    x = layers.GroupNormalization(-1)(layers.Conv2D(12, 1)(x))
    x = layers.RMSNormalization()(layers.Conv2D(16, 1)(x))
    x = layers.UnitNormalization()(layers.Dense(12)(x))
    x = layers.UnitNormalization(axis=[1, 2])(layers.Dense(12)(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def softmaxes():
    """Softmax over channels keeps them whole, over positions it does not."""
    inputs = keras.Input((6, 4))
    x = layers.Softmax(axis=1)(layers.Dense(16)(inputs))
    x = layers.Dense(16)(x)
    x = layers.Softmax()(layers.Dense(8)(x))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


BUILDERS = [
    grouped,
    depthwise,
    squeeze_and_excite,
    one_dimensional_rarer,
    decoder,
    layer_normalised,
    otherwise_normalised,
    softmaxes,
]

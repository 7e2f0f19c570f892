"""Small models of layers with rounded weights and inputs."""

import keras
from keras import layers

from keras_slim.layers import (
    QuantConv1D,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantDense,
    QuantDepthwiseConv2D,
    QuantEmbedding,
    Quantize,
    QuantSeparableConv2D,
)
from keras_slim.quantizers import Int, LearnedStep, Ternary


def quantized_integers():
    """Integers with ranges of every kind: per channel and per tensor, of the moment, averaged and trained."""
    inputs = keras.Input((6, 6, 2))
    x = QuantConv2D(8, 3, padding="same", kernel_quantizer="int", input_quantizer="int", activation="relu")(inputs)
    y = QuantDepthwiseConv2D(3, padding="same", depth_multiplier=2, kernel_quantizer=Int(4, ranges="trained"))(x)
    y = layers.BatchNormalization()(QuantConv2D(8, 1, use_bias=False, kernel_quantizer=LearnedStep())(y))
    x = Quantize(Int(per_channel=True))(layers.Add()([x, y]))
    x = QuantSeparableConv2D(6, 2, depth_multiplier=2, kernel_quantizer=Int(3, ranges="average"))(x)
    x = QuantConv2D(12, 2, groups=2, kernel_quantizer="int", input_quantizer=LearnedStep(5, signed=True))(x)
    return keras.Model(inputs, QuantDense(3, kernel_quantizer=Int(symmetric=False))(layers.Flatten()(x)))


def quantized_signs():
    """One and two bits, where a zero is no zero: an image, and words with a layer that is called twice."""
    image, words = keras.Input((5, 5, 2), name="image"), keras.Input((6,), dtype="int32", name="words")
    x = layers.BatchNormalization()(layers.Conv2D(8, 2)(image))
    y = QuantConv2D(8, 1, kernel_quantizer="binary", input_quantizer="sign")(x)
    x = layers.BatchNormalization()(layers.Add()([x, y]))
    x = QuantConv2D(12, 2, groups=4, kernel_quantizer="binary_scaled", input_quantizer="sign", strides=2)(x)
    x = QuantConv2DTranspose(8, 2, kernel_quantizer="trained_ternary")(layers.ReLU()(x))
    x = layers.GlobalAveragePooling2D()(QuantConv2D(6, 2, kernel_quantizer=Ternary("optimum", per_channel=True))(x))
    y = QuantEmbedding(5, 8, embeddings_quantizer="trained_ternary")(words)
    shared = QuantConv1D(8, 3, padding="causal", kernel_quantizer="binary_scaled", input_quantizer="int", name="shared")
    y = QuantDense(6, "tanh", kernel_quantizer=Int(4))(Quantize("sign")(shared(shared(y))))
    x = layers.Concatenate()([x, layers.GlobalAveragePooling1D()(y)])
    return keras.Model([image, words], QuantDense(3, kernel_quantizer="ternary")(x))


BUILDERS = [quantized_integers, quantized_signs]

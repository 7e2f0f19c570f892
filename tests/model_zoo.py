"""Small models that between them hold every layer and every merge that can be pruned."""

import keras
import numpy as np
from keras import layers

OF_QUANTIZERS = "_step", "_low", "_high", "_positive", "_negative", "_batches"


def randomise(model, seed=0):
    """Gives every weight a value that hides nothing: no zero bias, no trivial batch-norm statistics."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        positive = weight.name in {"moving_variance", "gamma", "variance"} or weight.name.endswith(OF_QUANTIZERS)
        scale = 1 / np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0.3
        value = rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, scale, weight.shape)
        factor = -1 if weight.name.endswith("_low") else 0.1 if weight.name.endswith("_step") else 1
        weight.assign(factor * value)
    return model


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2), name="image"),
            layers.Conv2D(16, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(20, activation="sigmoid"),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ],
        name="sequential_model",
    )


def perceptron():
    inputs = keras.Input((6,))
    x = layers.Dense(24, "elu")(inputs)
    x = layers.Dense(16, layers.LeakyReLU())(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def residual():
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)))
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(x)))
        y = layers.BatchNormalization(scale=False)(layers.Conv2D(16, 3, padding="same", use_bias=False)(y))
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2D(32, 1, strides=2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5)(x))


def dense_concatenation():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same")(inputs)
    for _ in range(3):
        y = layers.Conv2D(9, 3, padding="same", activation="relu")(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, y])
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(5)(x))


def sum_of_concatenations():
    """Groups that lie across each other: the first half of one branch is tied with one layer, the rest with another."""
    inputs = keras.Input((6, 6, 2))
    a, b = layers.Conv2D(8, 1, name="a")(inputs), layers.Conv2D(16, 1, name="b")(inputs)
    c = layers.Conv2D(24, 1, name="c")(inputs)
    x = layers.Add()([layers.Concatenate()([a, b]), c])
    x = layers.Maximum()([x, layers.Conv2D(24, 1)(layers.Activation("gelu")(x))])
    x = layers.GlobalMaxPooling2D(keepdims=True)(x)
    x = layers.Conv2D(10, 1)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Reshape((10,))(x)))


def one_dimensional():
    inputs = keras.Input((20, 3))
    x = layers.Conv1D(16, 3, padding="causal", activation="relu")(inputs)
    x = layers.MaxPooling1D()(layers.ZeroPadding1D(1)(x))
    x = layers.Conv1D(16, 3, dilation_rate=2, padding="same")(x)
    x = layers.BatchNormalization()(layers.SpatialDropout1D(0.1)(x))
    x = layers.GlobalAveragePooling1D()(layers.UpSampling1D()(x))
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(16, "swish")(x)))


def reshaped():
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(12, 3, padding="same")(inputs)
    x = layers.Reshape((192,))(x)
    y = layers.Conv2D(12, 3, padding="same")(inputs)
    y = layers.Reshape((-1,))(layers.Multiply()([y, layers.Conv2D(12, 1, activation="sigmoid")(y)]))
    x = layers.Average()([x, layers.Subtract()([x, y])])
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(16)(x)))


def several_ends():
    """Several inputs and outputs, dictionaries, a shared layer, and a layer that is an output and is read too."""
    left, right = keras.Input((6, 6, 1), name="left"), keras.Input((6, 6, 1), name="right")
    shared = layers.Conv2D(16, 3, activation="relu", name="shared")
    x = layers.Concatenate()([shared(left), shared(right)])
    middle = layers.Conv2D(8, 1, name="middle")(x)
    x = layers.Conv2D(16, 1, activation="relu")(middle)
    x = layers.Flatten()(x)
    outputs = {"label": layers.Dense(3, name="label")(x), "middle": middle}
    return keras.Model({"left": left, "right": right}, outputs)


def with_a_layer_without_a_rule():
    inputs = keras.Input((10, 4))
    x = layers.Dense(16, "relu")(inputs)
    y = layers.GlobalAveragePooling1D()(layers.SpectralNormalization(layers.Conv1D(4, 1))(x))
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(16, 3)(layers.Dense(16)(inputs)))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(16)(layers.Concatenate()([y, x]))))


def volume():
    inputs = keras.Input((6, 6, 6, 1))
    x = layers.Conv3D(12, 3, activation="relu")(inputs)
    x = layers.AveragePooling3D(2)(layers.BatchNormalization()(x))
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(12, "relu")(x)))


def nested():
    """Models inside the model: one called once, one called twice, and a Sequential."""
    block_inputs = keras.Input((6, 6, 8))
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="conv")(block_inputs)
    block = keras.Model(block_inputs, layers.Conv2D(8, 1, name="back")(x), name="block")
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(8, 1, name="conv")(inputs)
    x = layers.Add()([x, block(x)])
    x = layers.ReLU()(block(x))
    tail = keras.Sequential(
        [keras.Input((6, 6, 8)), layers.Conv2D(16, 3), layers.GlobalAveragePooling2D(), layers.Dense(10)], name="tail"
    )
    return keras.Model(inputs, layers.Dense(2)(tail(x)))


BUILDERS = [
    nested,
    sequential,
    perceptron,
    residual,
    dense_concatenation,
    sum_of_concatenations,
    one_dimensional,
    reshaped,
    several_ends,
    with_a_layer_without_a_rule,
    volume,
]


def inputs_for(model, samples=7, seed=1):
    """Returns random inputs in the structure the model takes: numbers, or small indices."""
    rng = np.random.default_rng(seed)

    def draw(tensor):
        shape = (samples, *tensor.shape[1:])
        return rng.integers(0, 5, shape) if "int" in tensor.dtype else rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(draw, model.inputs[0] if isinstance(model, keras.Sequential) else model.input)

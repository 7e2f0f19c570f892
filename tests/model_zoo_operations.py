"""Small models in which operations of `keras.ops`, and layers that reshape, stand between the layers."""

import keras
import numpy as np
from keras import layers, ops
from since import since


def arithmetic():
    """Sums and products with tensors, numbers and constant arrays, on either side."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(12, 3, padding="same")(inputs)
    y = layers.Conv2D(12, 1)(inputs)
    x = 0.5 * x + y / 2 - 1
    x = x * np.linspace(0.5, 1.5, 12).astype("float32") + ops.multiply(np.linspace(-1, 1, 12).astype("float32"), x)
    x = ops.maximum(x, y) - ops.minimum(np.linspace(0, 1, 12).reshape(1, 1, 12).astype("float32"), y)
    x = ops.where(x > 0.1, x, np.linspace(-1, 1, 12).astype("float32"))
    gate = layers.Dense(12, "sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = x * ops.expand_dims(ops.expand_dims(gate, 1), 1)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x**2)))


def activations():
    """Functions of one element, and the activations that Keras turns into operations."""
    inputs = keras.Input((10,))
    x = layers.Dense(24)(inputs)
    x = ops.relu(x) + ops.gelu(x) - ops.hard_silu(x) * ops.leaky_relu(x, 0.1)
    x = keras.activations.relu(ops.tanh(x), max_value=0.9) + ops.sigmoid(-x)
    x = layers.Dense(16)(ops.sqrt(ops.abs(x) + 1.0))
    x = ops.exp(ops.clip(x, -2.0, 1.0)) + ops.log(1.0 + ops.square(x)) * ops.sign(x)
    x = ops.cast(ops.stop_gradient(x), "float32") + ops.erf(x) + ops.ones_like(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def reductions():
    """Over positions; over channels, which keeps them whole."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(16, 3, padding="same")(inputs)
    mean, variance = ops.moments(x, axes=[1, 2], keepdims=True)
    x = (x - mean) / ops.sqrt(variance + 0.1)
    x = ops.softmax(x, axis=2) + ops.cumsum(x, axis=1)
    x = layers.Conv2D(12, 1)(x)
    y = layers.Conv2D(12, 1, name="mixed")(inputs)
    y = ops.softmax(y, axis=-1) + ops.mean(y, axis=-1, keepdims=True) * ops.max(x, axis=2, keepdims=True)
    x = ops.concatenate([ops.mean(x, axis=(1, 2)), ops.max(x, axis=[1, 2]), ops.std(y, axis=(1, 2))], axis=-1)
    return keras.Model(inputs, layers.Dense(3)(x))


def channel_shuffle():
    """ShuffleNet: channels in groups are dealt out anew."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(24, 3, padding="same", activation="relu")(inputs)
    x = ops.reshape(x, (-1, 6, 6, 3, 8))
    x = ops.transpose(x, (0, 1, 2, 4, 3))
    x = ops.reshape(x, (-1, 6, 6, 24))
    left, right = ops.split(x, 2, axis=-1)
    right = layers.Conv2D(12, 3, padding="same", activation="relu")(right)
    x = layers.Conv2D(10, 1)(ops.concatenate([left, right], axis=-1))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def moved_axes():
    inputs = keras.Input((6, 5, 2))
    x = layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    x = ops.moveaxis(ops.swapaxes(x, 1, -1), 1, 2)
    x = ops.transpose(x, (0, 3, 1, 2))
    x = layers.Permute((2, 3, 1))(layers.Permute((3, 1, 2))(x))
    x = ops.squeeze(ops.expand_dims(x, (1, -1)))
    x = layers.Conv2D(14, 1)(ops.flip(x, axis=(1, -1)))
    x = layers.Conv2D(10, 1)(ops.flip(x, axis=1)[:, :, ::-1] + x[..., ::-1])
    x = layers.Reshape((30, 10))(x)
    x = layers.Conv1D(12, 1)(ops.roll(x, 3, axis=1))
    x = layers.Reshape((6, 5, -1))(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(ops.transpose(x, (0, 3, 1, 2)))))


def units_as_positions():
    """Channels that become positions: what follows works on each of them."""
    inputs = keras.Input((6, 4))
    x = ops.max(layers.Dense(8, "tanh")(layers.Permute((2, 1))(layers.Dense(12)(inputs))), axis=-1)
    y = layers.Dense(9, "relu")(layers.Permute((2, 1))(layers.Dense(10)(inputs)))
    x = ops.concatenate([layers.Flatten()(y), x], axis=-1)
    y = layers.RepeatVector(3)(layers.Dense(16, "relu")(x))
    y = ops.transpose(layers.Dense(10, "relu")(y), (0, 2, 1))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(y)))


def parts():
    """Slices, splits into equal and unequal parts, and constant positions."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(24, 3, padding="same")(inputs)
    first, second, third = ops.split(x, 3, axis=-1)
    x = ops.concatenate([ops.tanh(second), first * third], axis=-1)
    few, many = ops.split(x, [6], axis=-1)
    x = ops.concatenate([x[..., 4:12], many, few * x[:, :, :, -6:]], axis=-1)
    x = layers.Conv2D(20, 1)(x[:, 1:-1, ::2])
    y = ops.take(x, [3, 7, 7, -1, 11, 12, 0, 5], axis=-1) + x[..., 8:16]
    z = ops.take(x, 2, axis=-1) + x[:, :, :, 5]
    x = ops.slice(x, (0, 0, 0, 4), (-1, 1, 1, 12)) if since(3, 14) else x[:, :1, :1, 4:]
    x = ops.concatenate([ops.mean(y, axis=(1, 2)), x[:, 0, 0]], axis=-1)
    return keras.Model(inputs, layers.Dense(3)(ops.concatenate([x, layers.Flatten()(z)], axis=1)))


def stacked():
    inputs = keras.Input((5, 3))
    a, b = layers.Dense(12, "relu")(inputs), layers.Dense(12, "tanh")(inputs)
    x = ops.sum(ops.stack([a, b, a * b], axis=2) * np.linspace(1, 2, 3).reshape(3, 1).astype("float32"), axis=2)
    x = layers.Dense(10)(x)
    steps = ops.unstack(x, axis=1)
    x = ops.stack([steps[0], steps[3] + steps[1], steps[2] * np.ones((1, 10), "float32")], axis=-1)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def padded_and_repeated():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(10, 3)(inputs)
    x = ops.pad(x, ((0, 0), (1, 1), (0, 2), (2, 4)), constant_values=0.5)
    x = layers.Conv2D(8, 1)(ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]], mode="reflect"))
    x = layers.Conv2D(9, 1)(ops.repeat(x, 2, axis=-1))
    x = layers.Conv2D(8, 1)(ops.tile(ops.repeat(x, 2, axis=1), (1, 1, 2)))
    scale = ops.broadcast_to(layers.Dense(8)(ops.ones_like(ops.mean(x, axis=(0, 1, 2), keepdims=True))), (1, 1, 7, 8))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x[:, :, :7] * scale)))


def products():
    """Attention written out: what a product sums over stays, the values' channels and what is batched do not."""
    inputs = keras.Input((6, 5))
    query, key, value = (layers.Dense(12, name=name)(inputs) for name in ("query", "key", "value"))
    scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))) / np.sqrt(12).astype("float32"), axis=-1)
    x = layers.Dense(10)(scores @ value)
    table = np.linspace(-1, 1, 42).reshape(7, 6).astype("float32")
    x = ops.einsum("bsc,ts->btc", x, table)
    x = layers.Dense(10)(x)
    x = ops.einsum("btc,bsc->btsc", x, layers.Dense(10)(inputs))
    x = ops.einsum("...tsc->...c", x)
    return keras.Model(inputs, layers.Dense(3)(x))


def heads():
    """Multi-head attention written out, with a reshape into heads and back."""
    inputs = keras.Input((6, 5))
    query, key, value = (
        ops.transpose(layers.Reshape((6, 3, 8))(layers.Dense(24, name=name)(inputs)), (0, 2, 1, 3))
        for name in ("query", "key", "value")
    )
    scores = ops.softmax(ops.einsum("bhtd,bhsd->bhts", query, key), axis=-1)
    x = ops.reshape(ops.transpose(ops.matmul(scores, value), (0, 2, 1, 3)), (-1, 6, 24))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Dense(16, "relu")(x))))


def reshaped_otherwise():
    """Axes merged, divided and merged again."""
    inputs = keras.Input((4, 6, 2))
    x = layers.Conv2D(12, 1, activation="relu")(inputs)
    x = ops.reshape(x, (-1, 24, 12))
    x = layers.Dense(8)(ops.reshape(x, (-1, 24, 3, 4)))
    x = layers.Dense(8)(ops.reshape(x, (-1, 24 * 3, 8)))
    x = ops.reshape(ops.reshape(x, (-1, 1, 72 * 8, 1)), (-1, 9, 64))
    x = layers.Dense(12, "relu")(x)
    x = ops.reshape(layers.Dense(10)(ops.reshape(x, (-1, 12))), (-1, 90))
    return keras.Model(inputs, layers.Dense(3)(x))


def nested_operations():
    """A model with operations inside, called twice on what is not tied otherwise."""
    block_inputs = keras.Input((12,))
    x = layers.Dense(16, "relu")(block_inputs)
    left, right = ops.split(x * np.linspace(0.5, 1, 16).astype("float32"), [10], axis=-1)
    x = ops.concatenate([right, left[:, 2:]], axis=-1)
    block = keras.Model(block_inputs, layers.Dense(12)(x) + block_inputs[:, ::-1] * 0.1, name="block")
    inputs = keras.Input((5,))
    x, y = layers.Dense(12)(inputs), layers.Dense(12)(inputs)
    return keras.Model(inputs, layers.Dense(2)(ops.concatenate([block(x), block(y)])))


def nested_products_of_open_size():
    """A model of open size inside one of known size, in which two sets of units meet without a weight."""
    block_inputs = keras.Input((None, 6))
    x, y = layers.Dense(12)(block_inputs), layers.Dense(16)(block_inputs)
    x = layers.Dense(8)(ops.matmul(ops.transpose(x, (0, 2, 1)), y) * 0.1)
    block = keras.Model(block_inputs, layers.Dense(8)(ops.transpose(x, (0, 2, 1))), name="block")
    inputs = keras.Input((9, 6))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(block(inputs))))


BUILDERS = [
    arithmetic,
    activations,
    reductions,
    channel_shuffle,
    *([moved_axes] if since(3, 15) else []),  # `ops.squeeze` and `ops.flip` over several axes
    units_as_positions,
    parts,
    stacked,
    padded_and_repeated,
    products,
    heads,
    reshaped_otherwise,
    nested_operations,
    nested_products_of_open_size,
]

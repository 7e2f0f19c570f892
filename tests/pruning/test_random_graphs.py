"""The laws on models nobody thought of: random graphs over the vocabulary that has rules."""

import contextlib

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from keras import layers, ops
from model_zoo import randomise

import keras_slim as slim
from keras_slim.errors import UnreachableTargetError
from keras_slim.graph import analyse
from keras_slim.layers import AdderConv2D, AdderDense, AdderDepthwiseConv2D
from keras_slim.pruning import Guards

LOOSE = Guards(min_units=1, max_ratio=1.0, align=1)
WIDTHS = [3, 4, 6]
SIZE = 4


class Builder:
    """Grows a model of feature maps of one size, then a head, as `draw` decides."""

    def __init__(self, draw, channels=2, depth=0):
        self.draw = draw
        self.depth = depth
        self.inputs = keras.Input((SIZE, SIZE, channels))
        self.maps = [self.inputs]
        self.shared = []

    def pick(self, options):
        return self.draw(st.sampled_from(options))

    def width(self):
        return self.pick(WIDTHS)

    def convolution(self):
        kernel, dilation = self.pick([(1, 1), (3, 1), (3, 2)])
        activation = self.pick([None, "relu", "tanh", "sigmoid"])
        return layers.Conv2D(
            self.width(), kernel, padding="same", dilation_rate=dilation, use_bias=self.draw(st.booleans()),
            activation=activation,
        )(self.pick(self.maps))  # fmt: skip

    def dense(self):
        return layers.Dense(self.width(), activation=self.pick([None, "gelu", "elu"]))(self.pick(self.maps))

    def shared_layer(self):
        x = self.pick(self.maps)
        fitting = [layer for layer in self.shared if layer.input_spec.axes.get(-1) == x.shape[-1]]
        layer = self.pick(fitting) if fitting else layers.Conv2D(self.width(), 1)
        if not fitting:
            self.shared.append(layer)
        return layer(x)

    def one_to_one(self):
        layer = self.pick(
            [
                layers.BatchNormalization,
                layers.ReLU,
                layers.LeakyReLU,
                lambda: layers.Dropout(0.2),
                lambda: layers.Activation("softplus"),
                lambda: layers.BatchNormalization(center=False, scale=False),
                lambda: layers.MaxPooling2D(2, strides=1, padding="same"),
                lambda: layers.AveragePooling2D(2, strides=1, padding="same"),
                lambda: layers.Activation("softmax"),
            ]
        )()
        return layer(self.pick(self.maps))

    def merge(self):
        first = self.pick(self.maps)
        alike = [x for x in self.maps if x.shape == first.shape]
        merge = self.pick(
            [layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum, layers.Concatenate]
        )
        others = self.maps if merge is layers.Concatenate else alike
        chosen = [first, self.pick(others), *([self.pick(others)] if self.draw(st.booleans()) else [])]
        return merge()(chosen)

    def gate(self):
        x = self.pick(self.maps)
        squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
        squeezed = layers.Dense(self.width(), "relu")(squeezed)
        width = self.pick([1, x.shape[-1]])
        return layers.Multiply()([x, layers.Dense(width, "sigmoid")(squeezed)])

    def arithmetic(self):
        x = self.pick(self.maps)
        alike = self.pick([y for y in self.maps if y.shape == x.shape])
        array = np.linspace(-1, 1, x.shape[-1]).astype("float32")
        other = self.pick([alike, 2.0, 0.5, ops.mean(alike, axis=(1, 2), keepdims=True)])
        return self.pick(
            [
                lambda: x + other,
                lambda: x * array,
                lambda: ops.subtract(array.reshape(1, 1, 1, -1), x),
                lambda: ops.maximum(np.stack([array] * SIZE), x),
                lambda: 1.0 - other * x,
                lambda: x / (ops.abs(other) + 1.0),
                lambda: ops.where(x > 0.0, other, other) - ops.minimum(x, other),
            ]
        )()

    def of_one_element(self):
        function = self.pick(
            [ops.relu6, ops.gelu, ops.hard_silu, ops.sin, ops.tanh, ops.abs, ops.softsign, ops.erf, ops.negative,
             lambda x: ops.sqrt(ops.square(x) + 0.1), lambda x: ops.exp(ops.clip(x, -2, 1)), ops.stop_gradient,
             lambda x: ops.cast(x, "float32"), lambda x: keras.activations.relu(x, max_value=1.0), ops.ones_like]
        )  # fmt: skip
        return function(self.pick(self.maps))

    def along_axes(self):
        axis = self.pick([1, 2, (1, 2), 3, -1, -2])
        reduce = self.pick([ops.mean, ops.max, ops.sum, ops.min, ops.std, ops.logsumexp])
        x = self.pick(self.maps)
        return self.pick(
            [
                lambda: x - reduce(x, axis=axis, keepdims=True),
                lambda: x + ops.expand_dims(reduce(x, axis=1), 1),
                lambda: ops.softmax(x, axis=self.pick([1, 2, 3])),
                lambda: ops.roll(x, 1, axis=self.pick([1, 2, 3])),
                lambda: ops.cumsum(x, axis=self.pick([1, 2, 3])),
                lambda: ops.normalize(x, axis=self.pick([1, 2, 3]), epsilon=0.1),
                lambda: ops.layer_normalization(x, np.linspace(0.5, 1.5, x.shape[-1]).astype("float32"), epsilon=0.1),
                lambda: ops.rot90(x, axes=self.pick([(1, 2), (2, 1)])),
                lambda: ops.stack(ops.unstack(x, axis=1), axis=self.pick([1, 2])),
            ]
        )()

    def part(self):
        x = self.pick(self.maps)
        size = x.shape[-1]
        start = self.draw(st.integers(0, size - 1))
        stop = self.draw(st.integers(start + 1, size))
        return self.pick(
            [
                lambda: x[..., start:stop],
                lambda: x[:, :, ::-1, start - size :],
                lambda: x[..., ::-1],
                lambda: ops.flip(x, axis=-1),
                lambda: x[:, :, :, start : start + 1] * x,
                lambda: x + ops.expand_dims(x[..., start], -1),
                lambda: ops.take(x, [start, stop - 1, start - size], axis=-1),
                lambda: ops.slice(x, (0, 0, 0, start), (-1, SIZE, SIZE, stop - start)),
                lambda: ops.split(x, [start] if start else [stop], axis=-1)[0],
                lambda: ops.concatenate(ops.split(x, 2, axis=-1)[::-1], axis=-1) if size % 2 == 0 else x,
                lambda: ops.concatenate([*ops.array_split(x, 2, axis=-1)[1:], x], axis=-1) if size > 1 else x,
            ]
        )()

    def enlarged(self):
        x = self.pick(self.maps)
        if x.shape[-1] > 12:
            return x
        return self.pick(
            [
                lambda: ops.pad(x, ((0, 0), (0, 0), (0, 0), (1, 2)), constant_values=self.pick([None, 0.5])),
                lambda: ops.pad(
                    x[:, 1:, :-1], ((0, 0), (1, 0), (0, 1), (0, 0)), mode=self.pick(["constant", "reflect"])
                ),
                lambda: ops.repeat(x, 2, axis=-1),
                lambda: ops.depth_to_space(ops.tanh(ops.space_to_depth(x, 2)), 2),
                lambda: ops.append(x, x * 0.5, axis=-1),
                lambda: ops.tile(x, (1, 1, 1, 2)),
                lambda: ops.concatenate([x, self.pick(self.maps)], axis=-1),
                lambda: ops.concatenate([x[:, :2], x[:, 2:] * 2.0], axis=1),
                lambda: ops.max(ops.stack([x, ops.tanh(x)], axis=1), axis=1),
                lambda: ops.mean(ops.stack([x, ops.tanh(x), x], axis=-1), axis=4),
            ]
        )()

    def filtered(self):
        """Layers with weights that keep apart, group or move channels."""
        x = self.pick(self.maps)
        size = x.shape[-1]
        groups = self.pick([count for count in range(1, size + 1) if size % count == 0])
        return self.pick(
            [
                lambda: layers.DepthwiseConv2D(3, padding="same", activation="relu")(x),
                lambda: layers.DepthwiseConv2D(1, depth_multiplier=2)(x),
                lambda: layers.SeparableConv2D(self.width(), 3, padding="same", depth_multiplier=self.pick([1, 2]))(x),
                lambda: layers.Conv2D(2 * groups, 3, padding="same", groups=groups)(x),
                lambda: layers.Conv2DTranspose(self.width(), 2, 2)(layers.MaxPooling2D()(x)),
                lambda: layers.UpSampling2D()(layers.Conv2D(self.width(), 2, 2, activation="relu")(x)),
                lambda: layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)),
                lambda: layers.PReLU(shared_axes=self.pick([None, [1, 2]]))(x),
                lambda: layers.GroupNormalization(groups)(x),
                lambda: layers.LayerNormalization(axis=self.pick([-1, 1, (1, 2, 3)]))(x),
                lambda: layers.RMSNormalization()(x),
                lambda: layers.UnitNormalization()(x),
                lambda: layers.Rescaling(0.5, offset=0.1)(x),
                lambda: layers.EinsumDense("bhwc,cd->bhwd", (SIZE, SIZE, self.width()), bias_axes="d")(x),
                lambda: AdderConv2D(2 * groups, self.pick([1, 3]), padding="same", groups=groups)(x),
                lambda: AdderDepthwiseConv2D(3, padding="same", activation="softsign")(x),
                lambda: AdderDense(self.width())(x),
            ]
        )()

    def sequence(self):
        """Rows of a map, one after another."""
        x = self.pick(self.maps)
        size, width = x.shape[-1], self.width()
        rows = ops.reshape(x, (-1, SIZE * SIZE, size))
        answer = self.pick(
            [
                lambda: layers.SimpleRNN(width, return_sequences=True)(rows),
                lambda: layers.GRU(width, return_sequences=True)(rows),
                lambda: layers.Bidirectional(layers.LSTM(width, return_sequences=True))(rows),
                lambda: layers.MultiHeadAttention(2, 3, output_shape=self.pick([None, width]))(rows, rows),
                lambda: layers.GroupQueryAttention(2, 4, 2)(rows, rows),
                lambda: layers.Attention()([rows, rows]),
                lambda: layers.TimeDistributed(layers.Dense(width, "relu"))(rows),
                lambda: layers.TimeDistributed(self.of_rows(size, width))(rows),
                lambda: layers.Pipeline([layers.Dense(width), layers.ReLU(), layers.Dense(3)])(rows),
                lambda: layers.Conv1D(width, 3, padding="causal")(rows),
            ]
        )()
        return ops.reshape(answer, (-1, SIZE, SIZE, answer.shape[-1]))

    def of_rows(self, size, width):
        """A model that sees one row at a time."""
        inputs = keras.Input((size,))
        x = layers.Dense(width, "relu")(inputs)
        x = self.pick([ops.tanh, layers.BatchNormalization(), lambda x: x * x, lambda x: x - ops.mean(x, -1, True)])(x)
        return keras.Model(inputs, layers.Dense(4)(layers.Concatenate()([x, inputs])))

    def moved(self):
        """Something is done to a tensor whose axes stand in another order."""
        order = self.pick([(0, 3, 1, 2), (0, 2, 1, 3), (0, 3, 2, 1), (0, 1, 3, 2)])
        x = self.pick([lambda x: ops.transpose(x, order), layers.Permute(order[1:])])(self.pick(self.maps))
        x = self.pick(
            [
                ops.tanh,
                lambda x: x + ops.mean(x, axis=1, keepdims=True),
                lambda x: ops.flip(x, axis=1),
                lambda x: layers.Dense(x.shape[-1], "tanh")(x),
                lambda x: layers.BatchNormalization(axis=1)(x),
            ]
        )(x)
        return ops.transpose(x, np.argsort(order).tolist())

    def reshaped(self):
        x = self.pick(self.maps)
        size = x.shape[-1]
        groups = self.pick([count for count in range(1, size + 1) if size % count == 0])
        apart = ops.reshape(x, (-1, SIZE, SIZE, groups, size // groups))
        flat = self.pick([layers.Reshape((SIZE * SIZE, size)), layers.Reshape((-1, size))])(x)
        return self.pick(
            [
                lambda: ops.reshape(ops.swapaxes(apart, 3, 4), (-1, SIZE, SIZE, size)),
                lambda: ops.reshape(ops.flip(apart, axis=4), (-1, SIZE, SIZE, size)),
                lambda: ops.sum(apart, axis=self.pick([3, 4])),
                lambda: ops.reshape(layers.Dense(3)(apart), (-1, SIZE, SIZE, 3 * groups)),
                lambda: ops.reshape(layers.Dense(4, "relu")(flat), (-1, SIZE, SIZE, 4)),
                lambda: layers.Reshape((SIZE, -1, size))(layers.Conv1D(size, 3, padding="same")(flat)),
                lambda: ops.reshape(ops.moveaxis(apart, 4, 1), (-1, size // groups * SIZE, SIZE, groups))[:, :SIZE],
                lambda: layers.Reshape((SIZE, SIZE, size))(layers.Flatten()(x)),
                lambda: ops.squeeze(ops.expand_dims(x, (1, -1)), axis=(1, -1)),
                lambda: x + ops.reshape(layers.RepeatVector(SIZE)(x[:, 0, 0]), (-1, SIZE, 1, size)),
            ]
        )()

    def product(self):
        x, y = self.pick(self.maps), self.pick(self.maps)
        weights = ops.softmax(ops.einsum("bhwc,bhvc->bhwv", x, layers.Dense(x.shape[-1])(y)))
        return self.pick(
            [
                lambda: ops.matmul(weights, y),
                lambda: ops.einsum("bhwv,bhvc->bhwc", weights, y),
                lambda: ops.einsum("...wc,hw->...hc", x, np.eye(SIZE, k=1, dtype="float32")),
                lambda: x @ np.linspace(-1, 1, 4 * x.shape[-1]).reshape(-1, 4).astype("float32"),
                lambda: ops.tanh(ops.matmul(ops.transpose(x, (0, 1, 3, 2)), y))[:, :, :1] * x[..., :1],
                lambda: ops.einsum("bhwc,bhwd->bhcd", x, y)[:, :, :1] * ops.einsum("bhwd->bdhw", y)[:, :1, :, :1],
                lambda: (
                    layers.Dot(-1, normalize=self.draw(st.booleans()))(
                        [x[:, 0], layers.Dense(x.shape[-1])(y[:, :, 0])]
                    )[..., None]
                    * x
                ),
                lambda: ops.dot(x, np.ones((x.shape[-1], 3), "float32")),
            ]
        )()

    def nested(self):
        if self.depth:
            return self.convolution()
        x = self.pick(self.maps)
        inner = Builder(self.draw, x.shape[-1], depth=1)
        model = keras.Model(inner.inputs, inner.grow(self.draw(st.integers(1, 3)))[-1])
        first = model(x)
        if self.draw(st.booleans()):
            return first
        second = model(self.pick([y for y in [*self.maps, first] if y.shape == x.shape]))
        return ops.concatenate([first, second], axis=-1)

    def head(self, x):
        head = self.pick(["flatten", "reshape", "average", "maximum", "dense"])
        if head == "flatten":
            x = layers.Flatten()(x)
        elif head == "reshape":
            x = layers.Reshape((-1,))(x)
        elif head == "average":
            x = layers.GlobalAveragePooling2D()(x)
        elif head == "maximum":
            x = layers.GlobalMaxPooling2D()(x)
        return layers.Dense(2)(x)

    def grow(self, count):
        steps = [
            self.convolution, self.convolution, self.dense, self.dense, self.shared_layer, self.one_to_one, self.merge,
            self.gate, self.arithmetic, self.of_one_element, self.along_axes, self.part, self.enlarged, self.moved,
            self.filtered, self.sequence, self.reshaped, self.product, self.nested,
        ]  # fmt: skip
        for _ in range(count):
            self.maps.append(self.pick(steps)())
        return self.maps

    def build(self):
        self.grow(self.draw(st.integers(2, 9)))
        ends = [self.maps[-1], *([self.pick(self.maps[1:])] if self.draw(st.booleans()) else [])]
        outputs = [self.head(x) for x in ends]
        if self.draw(st.booleans()):
            outputs.append(self.pick(self.maps[1:]))
        return keras.Model(self.inputs, outputs if len(outputs) > 1 else outputs[0])


def plan_as_deep_as_possible(model):
    """Returns a plan for 0.4 of the units, or for less where a narrow graph has too few that can go."""
    for ratio in (0.4, 0.2, 0):
        with contextlib.suppress(UnreachableTargetError):
            return slim.plan_pruning(model, ratio, criterion="random", debias="none", guards=LOOSE)


def check_laws(model, seed):
    randomise(model, seed)
    x = np.random.default_rng(seed).normal(size=(3, SIZE, SIZE, 2)).astype("float32")
    plan = plan_as_deep_as_possible(model)
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    assert plan.after.params == small.count_params()
    assert plan.after.macs == slim.profile(small).macs
    graph, again = analyse(model), analyse(small)
    keep = plan.keep(graph)
    if all(keep[axis].sum() > 1 for axis in graph.axes):  # an axis of size one is broadcast, and is not divided
        assert plan.after.units == again.num_units
    pairs = zip(keras.tree.flatten(small(x)), keras.tree.flatten(masked(x)), strict=True)
    for one, two in pairs:
        one, two = np.asarray(one), np.asarray(two)
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * max(1.0, np.abs(two).max()))


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), seed=st.integers(0, 100))
def test_the_laws_hold_on_random_graphs(data, seed):
    check_laws(Builder(data.draw).build(), seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@settings(max_examples=460, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), seed=st.integers(0, 100))
def test_the_laws_hold_on_many_random_graphs(data, seed):
    check_laws(Builder(data.draw).build(), seed)

"""The laws on models nobody thought of: random graphs over the vocabulary that has rules."""

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from keras import layers
from model_zoo import randomise

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning import Guards

LOOSE = Guards(min_units=1, max_ratio=1.0, align=1)
WIDTHS = [3, 4, 6]
SIZE = 4


class Builder:
    """Grows a model of feature maps of one size, then a head, as `draw` decides."""

    def __init__(self, draw):
        self.draw = draw
        self.inputs = keras.Input((SIZE, SIZE, 2))
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

    def build(self):
        steps = [self.convolution, self.dense, self.shared_layer, self.one_to_one, self.merge, self.gate]
        for _ in range(self.draw(st.integers(2, 9))):
            self.maps.append(self.pick(steps)())
        ends = [self.maps[-1], *([self.pick(self.maps[1:])] if self.draw(st.booleans()) else [])]
        outputs = [self.head(x) for x in ends]
        if self.draw(st.booleans()):
            outputs.append(self.pick(self.maps[1:]))
        return keras.Model(self.inputs, outputs if len(outputs) > 1 else outputs[0])


def check_laws(model, seed):
    randomise(model, seed)
    graph = analyse(model)
    x = np.random.default_rng(seed).normal(size=(3, SIZE, SIZE, 2)).astype("float32")
    plan = slim.plan_pruning(model, 0.4 if graph.num_units > 2 * len(graph.groups) else 0, criterion="random",
                             debias="none", guards=LOOSE)  # fmt: skip
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    assert plan.after.params == small.count_params()
    assert plan.after.macs == slim.profile(small).macs
    assert plan.after.units == analyse(small).num_units
    pairs = zip(keras.tree.flatten(small(x)), keras.tree.flatten(masked(x)), strict=True)
    for one, two in pairs:
        one, two = np.asarray(one), np.asarray(two)
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * max(1.0, np.abs(two).max()))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), seed=st.integers(0, 100))
def test_the_laws_hold_on_random_graphs(data, seed):
    check_laws(Builder(data.draw).build(), seed)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), seed=st.integers(0, 100))
def test_the_laws_hold_on_many_random_graphs(data, seed):
    check_laws(Builder(data.draw).build(), seed)

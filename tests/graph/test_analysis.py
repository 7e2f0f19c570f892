import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.graph import analyse, register_rule
from keras_slim.graph.registry import find_rule


def groups_of(model, **options):
    return {group.name: (group.layers, group.size) for group in analyse(model, **options).groups}


def reasons_of(model, **options):
    return {name: whole.reasons for whole in analyse(model, **options).whole for name in whole.layers}


def test_a_residual_sum_ties_its_branches():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(6, 3, padding="same", name="branch")(x)
    x = layers.Add()([x, y])
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    assert groups_of(model) == {"stem": (("stem", "branch"), 6)}


def test_concatenation_keeps_groups_apart_and_in_order():
    inputs = keras.Input((4, 4, 1))
    a, b = layers.Conv2D(3, 1, name="a")(inputs), layers.Conv2D(5, 1, name="b")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.Concatenate()([a, b])))
    assert groups_of(model) == {"a": (("a",), 3), "b": (("b",), 5)}
    (slot,) = [s for s in analyse(model).slots if s.layer.name == "head" and s.role == "consumes"]
    assert slot.units.tolist() == list(range(8))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_flatten_finds_each_channel_at_each_of_its_positions(data_format):
    inputs = keras.Input((2, 3, 4) if data_format == "channels_last" else (4, 2, 3))
    x = layers.Conv2D(5, 1, data_format=data_format, name="conv")(inputs)
    x = layers.Flatten(data_format=data_format)(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    (slot,) = [s for s in analyse(model).slots if s.layer.name == "head" and s.role == "consumes"]
    # In both formats Keras flattens with the channels last.
    assert slot.units.tolist() == [0, 1, 2, 3, 4] * 6


def test_a_layer_called_twice_has_its_units_once():
    inputs = keras.Input((6,))
    shared = layers.Dense(6, name="shared")
    model = keras.Model(inputs, layers.Dense(2)(shared(shared(inputs))))
    # The second call reads what the first puts out, and the first reads the inputs, which are never cut.
    assert groups_of(model) == {}
    assert "tied to channels that are never cut" in reasons_of(model)["shared"]

    a, b = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(6, name="shared")
    model = keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([shared(a), shared(b)])))
    assert groups_of(model) == {"shared": (("shared",), 6)}


def test_a_layer_without_a_rule_is_named_and_keeps_what_it_touches_whole():
    inputs = keras.Input((5, 4))
    x = layers.Dense(8, name="before")(inputs)
    x = layers.SpectralNormalization(layers.Conv1D(7, 1), name="unknown")(x)
    x = layers.Dense(6, name="after")(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    assert groups_of(model) == {"after": (("after",), 6)}
    assert reasons_of(model) == {
        "before": ("SpectralNormalization has no rule: it divides the kernel by a norm over all units (unknown)",),
        "unknown": ("SpectralNormalization has no rule: it divides the kernel by a norm over all units",),
        "head": ("its units are a model output",),
    }


def test_layers_after_a_sum_with_the_input_stay_whole():
    inputs = keras.Input((4, 4, 6))
    x = layers.Add()([inputs, layers.Conv2D(6, 1, name="conv")(inputs)])
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="head")(x))
    assert groups_of(model) == {}
    assert reasons_of(model)["conv"] == ("tied to channels that are never cut",)


def test_a_broadcast_unit_stays_whole():
    inputs = keras.Input((4, 4, 3))
    gate = layers.Conv2D(1, 1, activation="sigmoid", name="gate")(inputs)
    x = layers.Multiply()([layers.Conv2D(8, 1, name="conv")(inputs), gate])
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    assert groups_of(model) == {"conv": (("conv",), 8)}
    assert "broadcast" in reasons_of(model)["gate"][0]


def reverse(x):
    return x[..., ::-1]


@pytest.mark.parametrize("activation", ["softmax", keras.activations.glu, reverse])
def test_an_activation_that_may_mix_channels_keeps_them_whole(activation):
    inputs = keras.Input((4,))
    units = 8
    x = layers.Activation(activation, name="mixing")(layers.Dense(units, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert groups_of(model) == {}
    assert "mixes the channels (mixing)" in reasons_of(model)["hidden"][0]


def test_named_layers_are_ignored_with_what_is_tied_to_them():
    inputs = keras.Input((4,))
    a, b = layers.Dense(8, name="a")(inputs), layers.Dense(8, name="b")(inputs)
    c = layers.Dense(8, name="c")(layers.Add()([a, b]))
    model = keras.Model(inputs, layers.Dense(2)(c))
    assert groups_of(model, ignore=["b"]) == {"c": (("c",), 8)}
    assert reasons_of(model, ignore=["b"])["a"] == ("ignored on request (b)",) or (
        reasons_of(model, ignore=["b"])["a"] == ("ignored on request",)
    )
    with pytest.raises(ValueError, match="does not have: \\['d'\\]"):
        analyse(model, ignore=["d"])


def test_a_subclass_of_a_known_layer_is_not_taken_for_it():
    class Reversed(layers.Dense):
        def call(self, inputs):
            return super().call(inputs)[..., ::-1]

    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Reversed(8, name="reversed")(inputs)))
    assert groups_of(model) == {}
    assert reasons_of(model)["reversed"] == ("Reversed has no rule",)


def test_a_rule_can_be_registered_once():
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=input_shape[-1:], initializer="random_normal")

        def call(self, inputs):
            return inputs * self.scale

    @register_rule(Scale)
    def scale(call):
        units = call.inputs[0].along(-1)
        call.weight(call.layer.scale, follows={0: units})
        return call.output({-1: units})

    assert find_rule(Scale()) is scale
    with pytest.raises(ValueError, match="override=True"):
        register_rule(Scale)(scale)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Scale()(layers.Dense(16, name="hidden")(inputs))))
    assert groups_of(model) == {"hidden": (("hidden",), 16)}
    plan = slim.plan_pruning(model, 0.5)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(slim.shrink(model, plan)(x), slim.mask(model, plan)(x), rtol=1e-5, atol=1e-6)


def test_a_rule_that_names_the_wrong_number_of_channels_is_told_so():
    class Odd(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(3,))

        def call(self, inputs):
            return inputs

    @register_rule(Odd)
    def odd(call):
        call.weight(call.layer.scale, follows={0: call.inputs[0].along(-1)})
        return call.unchanged()

    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Odd()(layers.Dense(8)(inputs))))
    with pytest.raises(ValueError, match="rule of Odd names 8 channels along axis 0 of .* has shape \\(3,\\)"):
        analyse(model)


def test_the_site_of_a_layer_is_behind_its_batch_norm_and_activation():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.BatchNormalization()(x)
    active = layers.ReLU()(x)
    x = layers.MaxPooling2D()(active)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    (site,) = analyse(model).sites
    assert site.tensor is active


def test_a_model_inside_that_is_ignored_is_left_whole_with_all_its_layers():
    base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="deep"), keras.layers.Dense(6)], name="base")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(8, name="top")(base(inputs))))
    assert [group.name for group in analyse(model, ignore=["base"]).groups] == ["top"]
    assert analyse(model, ignore=["base/deep"]).groups[0].name.startswith("base/dense")

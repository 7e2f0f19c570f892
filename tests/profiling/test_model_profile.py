import json

import keras
import pytest
from keras import layers

from keras_slim.errors import UnsupportedLayerError
from keras_slim.profiling import profile


class Hidden(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(shape[-1], shape[-1]), name="table")

    def call(self, x):
        return keras.ops.matmul(x, self.table)

    def compute_output_shape(self, shape):
        return shape


def small():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(10, name="head"),
        ],
        name="small",
    )


def test_every_layer_and_the_totals():
    cost = profile(small())
    conv, norm, flat, head = cost.layers
    assert (conv.name, conv.call, conv.kind, conv.output_shapes) == ("conv", 1, "Conv2D", ((None, 8, 8, 4),))
    assert conv.parameters == 3 * 3 * 3 * 4 + 4
    assert conv.macs == conv.multiplications == conv.additions == 8 * 8 * 3 * 3 * 3 * 4
    assert (norm.parameters, norm.macs) == (4 * 4, 0)
    assert (flat.parameters, flat.macs, flat.bytes) == (0, 0, 0)
    assert head.macs == 8 * 8 * 4 * 10
    assert cost.parameters == small().count_params()
    assert cost.bytes == 4 * cost.parameters
    assert cost.macs == cost.multiplications == cost.additions == conv.macs + head.macs
    assert cost.unknown == ()


def test_a_shared_layer_has_a_line_per_call_and_its_parameters_once():
    a, b, dense = keras.Input((3,)), keras.Input((3,)), layers.Dense(2, name="shared")
    cost = profile(keras.Model([a, b], [dense(a), dense(b)]))
    assert [(layer.name, layer.call, layer.parameters) for layer in cost.layers] == [("shared", 1, 8), ("shared", 2, 0)]
    assert (cost.parameters, cost.macs) == (8, 2 * 6)


def test_a_shared_inner_model_has_its_parameters_once():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="dense")], name="inner")
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], [inner(a), inner(b)])
    cost = profile(model)
    assert [(layer.name, layer.call) for layer in cost.layers] == [("inner/dense", 1), ("inner/dense", 2)]
    assert cost.parameters == model.count_params() == 8


def test_bytes_follow_the_dtype_of_each_weight():
    x = keras.Input((3,))
    half = layers.Dense(2, dtype="bfloat16", name="half")
    mixed = layers.Dense(2, dtype="mixed_float16", name="mixed")
    double = layers.Dense(2, dtype="float64", name="double")
    cost = profile(keras.Model(x, [half(x), mixed(x), double(x)]))
    assert {layer.name: layer.bytes for layer in cost.layers} == {"half": 8 * 2, "mixed": 8 * 4, "double": 8 * 8}


def test_weights_of_whole_numbers_and_flags_have_bytes_too():
    class Lookup(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(6,), dtype="int8", trainable=False, initializer="zeros")
            self.flags = self.add_weight(shape=(5,), dtype="bool", trainable=False, initializer="zeros")

        def call(self, x):
            return x

    x = keras.Input((3,))
    assert profile(keras.Model(x, Lookup()(x))).bytes == 6 + 5


def test_a_layer_with_several_outputs_has_several_shapes():
    x = keras.Input((5, 3))
    (layer,) = profile(keras.Model(x, layers.LSTM(4, return_state=True)(x))).layers
    assert layer.output_shapes == ((None, 4), (None, 4), (None, 4))


def test_operations_have_lines_too():
    x = keras.Input((4,))
    assert [layer.kind for layer in profile(keras.Model(x, keras.ops.relu(x) + x)).layers] == ["Relu", "Add"]


def test_a_layer_without_a_rule_is_named_and_not_taken_for_free():
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), Hidden(name="hidden")], name="inner")
    model = keras.Model(x, layers.Dense(2, name="known")(inner(inner(x))))
    cost = profile(model)
    assert cost.unknown == ("inner/hidden",)
    assert cost.parameters == model.count_params()
    assert cost.macs == 3 * 2


def test_a_layer_without_a_rule_is_named_inside_a_wrapper():
    x = keras.Input((5, 3))
    assert profile(keras.Model(x, layers.TimeDistributed(Hidden(), name="steps")(x))).unknown == ("steps",)


def test_weights_added_to_a_known_layer_are_not_taken_for_free():
    x = keras.Input((3,))
    dense = layers.Dense(4, name="adapted")
    model = keras.Model(x, dense(x))
    dense.enable_lora(2)
    assert profile(model).unknown == ("adapted",)


def test_the_dictionary_survives_json():
    cost = profile(small())
    again = json.loads(json.dumps(cost.to_dict()))
    assert (again["name"], again["parameters"], again["macs"]) == ("small", cost.parameters, cost.macs)
    assert [layer["name"] for layer in again["layers"]] == ["conv", "norm", "flat", "head"]
    assert again["unknown"] == []


def test_a_clone_costs_the_same():
    model = small()
    assert profile(keras.models.clone_model(model)) == profile(model)


def test_profiling_leaves_the_model_alone():
    model = small()
    before = model.get_config()
    assert profile(model) == profile(model)
    assert model.get_config() == before


def test_models_that_cannot_be_read_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedLayerError, match="decides in its own code"):
        profile(Own())
    with pytest.raises(ValueError, match="is not built"):
        profile(keras.Sequential([layers.Dense(2)]))

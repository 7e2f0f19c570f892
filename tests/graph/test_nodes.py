import keras
import pytest
from keras import layers

from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.nodes import is_graph, walk


def names(model):
    return [node.operation.name for node in walk(model)]


def residual():
    x = inputs = keras.Input((4, 4, 3), name="image")
    x = left = layers.Conv2D(2, 1, name="left")(x)
    x = layers.Conv2D(2, 1, name="right")(x)
    x = layers.Add(name="sum")([left, x])
    return keras.Model(inputs, layers.Flatten(name="flat")(x))


class Subclassed(keras.Model):
    def call(self, x):
        return x


class OwnTrainStep(keras.Model):
    def train_step(self, data):
        return {}


class OwnCall(OwnTrainStep):
    def call(self, x):
        return x


def test_calls_come_after_what_they_depend_on():
    assert names(residual()) == ["image", "left", "right", "sum", "flat"]


def test_a_node_holds_the_tensors_and_the_arguments_of_its_call():
    a, b = keras.Input((2, 5)), keras.Input((3, 5))
    attention = layers.Attention(name="attend")
    out = attention([a, b], use_causal_mask=True)
    node = walk(keras.Model([a, b], out))[-1]
    assert node.operation is attention
    assert node.inputs == (a, b)
    assert node.outputs == (out,)
    assert node.args == ([a, b],)
    assert node.kwargs["use_causal_mask"] is True


def test_the_first_argument_comes_first_if_it_is_passed_by_its_name():
    sequence, state = keras.Input((5, 3)), keras.Input((4,))
    model = keras.Model([sequence, state], keras.layers.GRU(4)(initial_state=[state], sequences=sequence))
    *_, node = walk(model)
    assert node.args == (sequence,)
    assert node.inputs == (sequence, state)
    assert "sequences" not in node.kwargs


def test_operations_of_keras_ops_are_nodes():
    x = keras.Input((4,))
    nodes = walk(keras.Model(x, keras.ops.relu(x) * 2))
    assert [type(node.operation).__name__ for node in nodes] == ["InputLayer", "Relu", "Multiply"]


def test_a_shared_layer_gives_one_node_per_call():
    a, b, dense = keras.Input((3,)), keras.Input((3,)), layers.Dense(2, name="shared")
    model = keras.Model([a, b], [dense(a), dense(b)])
    assert [node.inputs for node in walk(model) if node.operation is dense] == [(a,), (b,)]


def test_calls_of_other_models_are_left_out():
    dense, x, y = layers.Dense(2, name="shared"), keras.Input((3,), name="x"), keras.Input((3,), name="y")
    first, second = keras.Model(x, dense(x)), keras.Model(y, layers.ReLU(name="relu")(dense(y)))
    assert names(first) == ["x", "shared"]
    assert names(second) == ["y", "shared", "relu"]


def test_a_model_that_ends_or_starts_inside_another_has_its_own_calls_only():
    model = residual()
    assert names(keras.Model(model.inputs, model.get_layer("left").output)) == ["image", "left"]
    assert names(keras.Model(model.get_layer("sum").output, model.output))[1:] == ["flat"]


def test_an_input_that_leads_nowhere_is_listed():
    used, unused = keras.Input((3,), name="used"), keras.Input((3,), name="unused")
    assert names(keras.Model([unused, used], layers.Dense(2, name="out")(used))) == ["unused", "used", "out"]


def test_a_clone_gives_the_same_order():
    model = residual()
    assert names(keras.models.clone_model(model)) == names(model)


def test_the_order_does_not_follow_the_order_of_creation():
    x = keras.Input((3,), name="x")
    late, early = layers.Dense(2, name="late")(x), layers.Dense(2, name="early")(x)
    assert names(keras.Model(x, [early, late])) == ["x", "early", "late"]


def test_deep_models_do_not_exhaust_the_stack():
    x = inputs = keras.Input((2,))
    for _ in range(300):
        x = layers.Identity()(x)
    assert len(walk(keras.Model(inputs, x))) == 301


def test_a_nested_model_is_one_node():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="inner")
    outer = keras.Sequential([keras.Input((3,), name="x"), inner])
    assert names(outer) == ["x", "inner"]
    assert names(inner)[1:] == [inner.layers[0].name]


def test_reading_a_sequential_as_a_functional_model_adds_no_call():
    model = keras.Sequential([keras.Input((3,), name="x"), layers.Dense(2, name="out")])
    before = walk(model)
    functional = keras.Model(model.inputs, model.outputs)
    assert names(functional) == ["x", "out"]
    assert [node.outputs for node in walk(functional)] == [node.outputs for node in before]


def test_a_sequential_is_a_graph_once_built():
    model = keras.Sequential([layers.Dense(2, name="out")])
    assert not is_graph(model)
    model.build((None, 3))
    assert is_graph(model)
    assert names(model)[1:] == ["out"]


def test_a_class_that_leaves_call_to_keras_is_a_graph():
    x = keras.Input((3,))
    y = layers.Dense(2)(x)
    assert is_graph(OwnTrainStep(x, y))
    assert not is_graph(OwnCall(x, y))
    assert not is_graph(Subclassed())
    assert not is_graph("model.keras")


def test_a_model_not_built_is_refused_with_the_call_to_make():
    with pytest.raises(ValueError, match=r"'tiny' is not built.*keras\.Input\(shape\).*model\.build"):
        walk(keras.Sequential([layers.Dense(2)], name="tiny"))


def test_a_subclassed_model_is_refused_with_the_way_out():
    with pytest.raises(UnsupportedLayerError, match=r"'own' of class `Subclassed`.*keras\.Model\(inputs, outputs\)"):
        walk(Subclassed(name="own"))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"`model` of `walk`\. Expected a Keras model\. Received: model=3\."):
        walk(3)

import keras
from keras import layers

from keras_slim.graph.nodes import walk
from keras_slim.profiling.calls import calls


def encoder(shape):
    x = inputs = keras.Input(shape)
    x = keras.ops.relu(layers.Conv2D(4, 3, padding="same", name="conv")(x) + 1.0)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="pool")(x), name="encoder")


def shapes(model):
    return {path: call.outputs[0].shape for path, call in calls(model)}


def test_inner_models_are_walked_by_path_at_any_depth():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a")], name="inner")
    middle = keras.Sequential([keras.Input((3,)), inner], name="middle")
    outer = keras.Sequential([keras.Input((3,)), middle, layers.Dense(1, name="b")])
    assert [path for path, _ in calls(outer)] == ["middle/inner/a", "b"]


def test_an_inner_model_called_twice_is_walked_twice():
    inner, a, b = encoder((8, 8, 3)), keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    paths = [path for path, _ in calls(keras.Model([a, b], [inner(a), inner(b)]))]
    assert paths.count("encoder/conv") == 2


def test_open_sizes_of_an_inner_model_follow_from_its_call():
    inner, x = encoder((None, None, 3)), keras.Input((8, 6, 3))
    seen = shapes(keras.Model(x, inner(x)))
    assert seen["encoder/conv"] == (None, 8, 6, 4)
    assert seen["encoder/pool"] == (None, 4)


def test_two_calls_may_see_two_sizes():
    inner, a, b = encoder((None, None, 3)), keras.Input((8, 8, 3)), keras.Input((4, 4, 3))
    model = keras.Model([a, b], [inner(a), inner(b)])
    assert [call.outputs[0].shape[1] for path, call in calls(model) if path == "encoder/conv"] == [8, 4]


def test_following_open_sizes_leaves_the_model_alone():
    inner, x = encoder((None, None, 3)), keras.Input((8, 6, 3))
    model = keras.Model(x, inner(x))
    before = walk(inner)
    list(calls(model))
    after = walk(inner)
    assert [node.outputs for node in after] == [node.outputs for node in before]
    assert after[1].outputs[0].shape == (None, None, None, 4)

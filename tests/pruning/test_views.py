"""Other models on the layers of a model that is cut in place."""

import keras
import numpy as np
import pytest
from batching import batches

from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.graph import analyse
from keras_slim.pruning import adopt as adopting
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import rebuild

layers = keras.layers
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
DATA = batches(X, X[:, :2])


@pytest.fixture
def model():
    """A model with a model inside it, trained for one step."""
    base = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu", name="deep"), layers.Dense(6)], name="base")
    inputs = keras.Input((4,))
    hidden = layers.Dense(10, "relu", name="hidden")(layers.ReLU()(base(inputs)))
    model = keras.Model(inputs, layers.Dense(2, name="head")(hidden))
    model.base, model.hidden = base, hidden
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=True)
    model.fit(DATA, verbose=0)
    return model


def cut(model):
    graph = analyse(model)
    adopt(model, *rebuild(graph, np.arange(graph.num_units) % 2 == 0))


def answers(model, x=X):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x))


HOLD = {
    "an attribute": lambda model, view: setattr(model, "view", view),
    "a list": lambda model, view: setattr(model, "views", [view]),
    "a dictionary": lambda model, view: setattr(model, "views", {"first": view}),
    "somebody else": lambda model, view: None,
}


@pytest.mark.parametrize("hold", HOLD)
def test_a_view_answers_as_the_model_does(model, hold):
    inner = keras.Model(model.input, [model.get_layer("hidden").output, model.output * 2.0])
    HOLD[hold](model, inner)
    parameters = 8 * (4 + 1) + 6 * 9 + 10 * 7 + 2 * 11
    assert model.count_params() == parameters
    cut(model)
    assert model.count_params() == 4 * (4 + 1) + 3 * 5 + 5 * 4 + 2 * 6
    hidden, twice = answers(inner)
    assert hidden.shape == (8, 5)
    np.testing.assert_allclose(twice, 2 * answers(model), rtol=1e-6)
    model.fit(DATA, verbose=0)
    np.testing.assert_allclose(answers(inner)[1], 2 * answers(model), rtol=1e-6)
    assert len(model.optimizer.variables) == 2 + len(model.trainable_variables)


def test_the_model_inside_is_what_the_user_calls_it(model):
    cut(model)
    new = model.get_layer("base")
    assert [id(weight) for weight in model.base.weights] == [id(weight) for weight in new.weights]
    np.testing.assert_array_equal(answers(model.base), answers(new))
    model.base.trainable = False
    assert len(model.trainable_weights) == 4
    model.base.trainable = True
    assert len(model.trainable_weights) == 8


def test_a_weight_that_is_an_attribute_is_the_new_one(model):
    model.kernel = model.get_layer("hidden").kernel
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=True)
    model.fit(DATA, verbose=0)
    cut(model)
    assert model.kernel is model.get_layer("hidden").kernel
    model.fit(DATA, verbose=0)
    assert model.count_params() == 4 * (4 + 1) + 3 * 5 + 5 * 4 + 2 * 6


def test_views_of_a_sequential_model_and_those_of_one_kind_follow_twice():
    stack = [layers.Dense(16, "relu", name="first"), layers.Dense(16, "relu"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mse", run_eagerly=True)
    view = keras.Sequential([keras.Input((4,)), *stack[:2]])
    for size in (8, 4):
        cut(model)
        assert answers(view).shape == (8, size)
        np.testing.assert_allclose(answers(model.layers[-1], answers(view)), answers(model), rtol=1e-6)
        assert view.layers[0].name == "first"


def test_a_view_that_begins_in_the_middle_follows(model):
    model.upper = keras.Model(model.get_layer("hidden").output, model.output)
    lower = keras.Model(model.input, model.get_layer("hidden").output)
    cut(model)
    assert model.upper.input_shape == (None, 5)
    np.testing.assert_allclose(answers(model.upper, answers(lower)), answers(model), rtol=1e-6)
    model.fit(DATA, verbose=0)


def test_going_back_takes_the_views_along(model):
    view = keras.Model(model.input, model.get_layer("hidden").output)
    before, base_before, seen = answers(model), answers(model.base), answers(view)
    snapshot = Snapshot(model)
    cut(model)
    snapshot.restore()
    np.testing.assert_array_equal(answers(model), before)
    np.testing.assert_array_equal(answers(view), seen)
    np.testing.assert_array_equal(answers(model.base), base_before)
    assert model.get_layer("base") is model.base


def test_a_failure_leaves_views_as_they_were(model, monkeypatch):
    view = keras.Model(model.input, model.get_layer("hidden").output)
    seen, base = answers(view), answers(model.base)

    def fail(*args):
        raise OSError("in the middle")

    monkeypatch.setattr(adopting, "_replace_in_attributes", fail)
    with pytest.raises(OSError, match="in the middle"):
        cut(model)
    np.testing.assert_array_equal(answers(view), seen)
    np.testing.assert_array_equal(answers(model.base), base)
    model.fit(DATA, verbose=0)


def test_models_with_weights_or_an_optimizer_of_their_own_are_left_alone(model):
    other = keras.Model(model.input, layers.Dense(3)(model.get_layer("hidden").output))
    compiled = keras.Model(model.input, model.output)
    compiled.compile("sgd", "mse")
    before = [answers(each) for each in (other, compiled)]
    cut(model)
    for each, seen in zip((other, compiled), before, strict=True):
        np.testing.assert_array_equal(answers(each), seen)


@pytest.mark.parametrize("is_part", [False, True])
def test_a_view_that_cannot_be_made_anew_is_named(model, is_part):
    scaled = model.get_layer("hidden").output * np.arange(10, dtype="float32")
    view = keras.Model(model.input, scaled, name="scaled")
    before = answers(model), answers(view)
    if is_part:
        model.view = view
        with pytest.raises(UnsupportedLayerError, match="'scaled' on layers of .* cannot be made anew after a cut"):
            cut(model)
        np.testing.assert_array_equal(answers(model), before[0])
        model.fit(DATA, verbose=0)
    else:
        with pytest.warns(SlimWarning, match="'scaled' on layers of .*It keeps the layers it has"):
            cut(model)
        np.testing.assert_array_equal(answers(view), before[1])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="text is a matter of TensorFlow")
def test_a_serving_model_with_a_table_in_front_answers_on(model):
    table = layers.StringLookup(output_mode="one_hot")
    table.adapt(np.array(["a", "b", "c"]))
    words = keras.Input((1,), dtype="string")
    around = keras.Model(words, model(table(words)))
    inside = keras.Model(words, model.get_layer("hidden")(model.base(table(words))))
    cut(model)
    text = keras.ops.convert_to_tensor([["a"], ["c"], ["unknown"]])
    np.testing.assert_allclose(around(text), model(table(text)), rtol=1e-6)
    expected = model.get_layer("hidden")(model.base(table(text)))
    np.testing.assert_allclose(inside(text), expected, rtol=1e-6)
    assert inside(text).shape == (3, 5)

"""A model is read once, for as long as it is what it was."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.graph import opening
from keras_slim.graph.kept_reading import kept_reading
from keras_slim.graph.opening import functional, opened
from keras_slim.graph.registry import _RULES
from keras_slim.pruning import Guards

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")
SCALE = {"is": 1.0}


class Block(layers.Layer):
    def __init__(self, owner=None):
        super().__init__(name="block")
        self.dense = layers.Dense(8, "relu", name="dense")
        self.more = [layers.Dense(8, name="more")]
        self.shift = np.zeros(8, "float32")
        self.factor = 1.0
        self.owner = owner  # as code that hands the model on to its parts does

    def build(self, shape):
        self.dense.build(shape)
        for layer in self.more:
            layer.build((None, 8))

    def call(self, x):
        x = self.dense(x)
        for layer in self.more:
            x = layer(x)
        return x * self.factor * SCALE["is"] + self.shift

    @classmethod
    def from_config(cls, config):
        return cls()


class Net(keras.Model):
    def __init__(self):
        super().__init__(name="net")
        self.block = Block()
        vars(self.block)["owner"] = self  # past Keras, which would take it for a part of the block
        self.head = layers.Dense(2, name="head")

    def call(self, x):
        return self.head(self.block(x))


def around_a_block():
    model = keras.Sequential([keras.Input((4,)), Block(), layers.Dense(2, name="head")], name="net")
    model.compile("sgd", "mse")
    return model


def subclassed():
    model = Net()
    model(X)
    model.compile("sgd", "mse")
    return model


def block_of(model):
    return model.layers[0]


@pytest.fixture
def recorded(monkeypatch):
    """The names of what has been recorded, in order."""
    names, record = [], opening.record

    def counted(layer, args, kwargs):
        names.append(layer.name)
        return record(layer, args, kwargs)

    monkeypatch.setattr(opening, "record", counted)
    return names


@pytest.mark.parametrize("make", [around_a_block, subclassed])
def test_several_verbs_read_a_model_once(make, recorded):
    model = make()
    plan = slim.plan_pruning(model, 0.5)
    first = list(recorded)
    assert "block" in first
    slim.shrink(model, plan)
    slim.mask(model, plan)
    slim.prune(model, 0.5, data=X)
    slim.plan_pruning(model, 0.5, criterion="taylor", data=(X, Y))
    assert recorded == first


def test_training_changes_nothing_but_the_weights(recorded):
    model = around_a_block()
    plan = slim.plan_pruning(model, 0.5)
    model.fit(X, Y, verbose=0)
    small = slim.shrink(model, plan)
    assert recorded == ["block"]
    np.testing.assert_array_equal(
        small.get_layer("block").get_layer("dense").kernel,
        np.asarray(block_of(model).dense.kernel)[:, list(plan.groups[0].kept_channels)],
    )


def other_layer(model):
    other = layers.Dense(8, "tanh", name="dense")
    other.build((None, 4))
    vars(block_of(model))["dense"] = other


def one_layer_less(model):
    list.clear(block_of(model).more)


CHANGES = {
    "a layer": other_layer,
    "one layer less in a list": one_layer_less,
    "an attribute": lambda model: setattr(block_of(model), "factor", 2.0),
    "an array in place": lambda model: block_of(model).shift.__iadd__(1.0),
    "a function": lambda model: setattr(block_of(model).dense, "activation", keras.activations.tanh),
    "what is trained": lambda model: setattr(block_of(model), "trainable", False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_is_another_is_read_again(change, recorded):
    model = around_a_block()
    twin = opened(model, "prune")
    CHANGES[change](model)
    assert opened(model, "prune") is not twin
    assert recorded == ["block"] * 2
    same = slim.shrink(model, slim.plan_pruning(model, 0))
    np.testing.assert_allclose(same(X), model(X), rtol=1e-5, atol=1e-6)
    assert same.get_layer("block").trainable == block_of(model).trainable


def test_a_global_variable_is_seen_in_the_answers(monkeypatch, recorded):
    model = around_a_block()
    slim.plan_pruning(model, 0.5)
    monkeypatch.setitem(SCALE, "is", 3.0)
    same = slim.shrink(model, slim.plan_pruning(model, 0))
    assert recorded == ["block"] * 2
    np.testing.assert_allclose(same(X), model(X), rtol=1e-5, atol=1e-6)


def test_a_rule_for_a_block_closes_it_again(monkeypatch):
    model = around_a_block()
    assert slim.plan_pruning(model, 0.5).groups[0].name == "block/dense"
    monkeypatch.setitem(_RULES, Block, lambda call: call.keep_inputs_whole("it is mine"))
    assert slim.plan_pruning(model, 0).groups == ()


def test_the_loss_is_that_of_the_last_compile():
    model = around_a_block()
    plans = []
    for loss in ("mse", lambda target, output: keras.ops.abs(output[:, 0] - target[:, 0])):
        model.compile("sgd", loss)
        twin = opened(model, "prune")
        expected = model.compute_loss(X, Y, model(X), training=False)
        np.testing.assert_allclose(twin.compute_loss(X, Y, twin(X), training=False), expected, rtol=1e-5)
        plans.append(slim.scoring.rank_correlation(model, (X, Y), "l2").oracle)
    assert not np.allclose(*plans)


def test_what_functional_returns_belongs_to_whoever_asked():
    model = around_a_block()
    twin = opened(model, "prune")
    mine, other = functional(model), functional(model)
    assert mine is not other
    mine.compile("adam", "mae")
    mine.fit(X, Y, verbose=0)
    assert opened(model, "prune") is twin
    assert twin.loss == "mse"


@pytest.mark.parametrize("make", [around_a_block, subclassed])
def test_nothing_keeps_a_model_alive(make):
    model = make()
    slim.prune(model, 0.5, data=X, guards=Guards(align=1))
    watched = [weakref.ref(each) for each in (model, kept_reading(model).twin, block_of(model).dense)]
    del model
    gc.collect()
    assert [each() for each in watched] == [None] * 3


def test_a_model_is_saved_and_copied_without_its_twin(tmp_path):
    model = around_a_block()
    slim.plan_pruning(model, 0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Block": Block})
    assert kept_reading(loaded) is None
    np.testing.assert_allclose(loaded(X), model(X), rtol=1e-6)


def test_the_plan_says_what_the_result_is():
    text = slim.plan_pruning(around_a_block(), 0.5).describe()
    assert "The result is a plain functional model, with models of their layers in the place of 'block'." in text


def test_a_cut_in_fit_forgets_the_twin_of_the_network_before():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(16, name="first"), Free(), layers.Dense(2)])
    model.compile("sgd", "mse")
    slim.plan_pruning(model, 0.5)
    before = weakref.ref(model.layers[0])
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, criterion="l2", rounds=1, verbose=0)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[pruning])
    assert model.layers[0].units == 8
    assert kept_reading(model) is None
    gc.collect()
    assert before() is None


class Free(layers.Layer):
    """Is opened by the verbs, and tried in `fit`."""

    def call(self, x):
        return keras.ops.relu(x)

"""Going back to what a model was: after training, after cuts, and after both several times."""

import keras
import numpy as np
import pytest
from batching import batches
from every_optimizer import VARIANTS
from keras import layers
from since import since

from keras_slim.graph import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import rebuild

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 6, 6, 2)).astype("float32"), RNG.normal(size=(24, 2)).astype("float32")
DATA = batches(X, Y, 12)
OPTIMIZERS = {
    "SGD with momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "RMSprop": lambda: keras.optimizers.RMSprop(0.01),
    "Adafactor": lambda: keras.optimizers.Adafactor(0.01),
    "averaged": lambda: keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True),
    "loss scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}
if since(3, 15):
    OPTIMIZERS["several"] = VARIANTS["several"]
TIME = {"iteration", "iterations", "learning_rate"}


def train(model):
    return model.fit(DATA, verbose=0).history


def cut(model, every=2):
    graph = analyse(model)
    adopt(model, *rebuild(graph, np.arange(graph.num_units) % every == 0))


def build(optimizer="adam", cls=keras.Model, **options):
    inputs = keras.Input((6, 6, 2))
    x = layers.Activation("tanh")(layers.BatchNormalization()(layers.Conv2D(12, 3, name="conv")(inputs)))
    x = layers.Dropout(0.2, seed=1)(layers.Dense(10, "tanh", name="hidden")(layers.Flatten()(x)))
    model = cls(inputs, layers.Dense(2, name="head")(x))
    model.compile(optimizer, "mse", **{"run_eagerly": True, **options})
    train(model)
    return model


def answers_of(model):
    return keras.ops.convert_to_numpy(model(X))


def state(model):
    """Everything that `restore` puts back, by its path; paths are the same before a cut and after."""
    values = {f"model/{each.path}": each.numpy().copy() for each in model.variables}
    slots = {f"{place}/{each.path}": each.numpy().copy() for place, each in enumerate(model.optimizer.variables)}
    return values | {path: value for path, value in slots.items() if path.rpartition("/")[2] not in TIME}


def assert_same(one, two):
    assert list(one) == list(two)
    for path, value in one.items():
        np.testing.assert_array_equal(value, two[path], err_msg=path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_is_as_it_was(name):
    model = build(OPTIMIZERS[name]())
    before, answers, old_layers, config = state(model), answers_of(model), model.layers, model.get_config()
    optimizer, inner = model.optimizer, getattr(model.optimizer, "inner_optimizer", None)
    snapshot = Snapshot(model)
    for cuts in (0, 2):  # the same snapshot serves several times
        for _ in range(cuts):
            cut(model)
        train(model)
        assert (model.get_layer("conv").filters == 12) == (cuts == 0)
        assert np.abs(answers_of(model) - answers).max() > 1e-3
        snapshot.restore()
        assert model.layers == old_layers
        assert model.get_config() == config
        assert model.optimizer is optimizer
        assert getattr(model.optimizer, "inner_optimizer", None) is inner
        assert_same(state(model), before)
        np.testing.assert_array_equal(answers_of(model), answers)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_training_goes_on_as_if_nothing_had_been(run_eagerly):
    """SGD knows no time: with momentum and random state put back, the losses are those of a model left alone."""
    model, alone = (build(OPTIMIZERS["SGD with momentum"](), run_eagerly=run_eagerly) for _ in range(2))
    for mine, others in zip(model.optimizer.variables, alone.optimizer.variables, strict=True):
        others.assign(mine)
    snapshot = Snapshot(model)
    cut(model)
    train(model)
    snapshot.restore()
    for mine, others in zip(model.variables, alone.variables, strict=True):
        others.assign(mine)
    np.testing.assert_allclose(train(model)["loss"], train(alone)["loss"], rtol=1e-6)


@pytest.mark.parametrize("every", [None, 2])
def test_time_goes_on(every):
    """Also where gradients of several batches make one step."""
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.1, 0.05])
    model = build(keras.optimizers.Adam(rate, gradient_accumulation_steps=every))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)  # two batches
    snapshot = Snapshot(model)
    cut(model)
    train(model)
    snapshot.restore()
    assert int(model.optimizer.iterations) == 4 // (every or 1)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_learning_rate_set_since_stays(scaled):
    optimizer = keras.optimizers.Adam(0.01)
    model = build(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
    snapshot = Snapshot(model)
    cut(model)
    model.optimizer.learning_rate = 0.002
    snapshot.restore()
    assert float(optimizer.learning_rate) == pytest.approx(0.002)
    optimizer.learning_rate = 0.001
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


class Own(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.favourite = self.get_layer("conv")
        self.by_name = {"hidden": self.get_layer("hidden")}
        self.note = "before"


def test_attributes_of_the_user_follow_their_layers():
    model = build(cls=Own)
    snapshot = Snapshot(model)
    cut(model)
    model.note, model.stop_training = "after", True
    snapshot.restore()
    assert model.favourite is model.get_layer("conv")
    assert model.by_name["hidden"] is model.get_layer("hidden")
    assert model.favourite.filters == 12
    assert (model.note, model.stop_training) == ("after", True)


def test_a_restored_model_is_saved_and_cut_again(tmp_path):
    model = build()
    snapshot = Snapshot(model)
    cut(model)
    snapshot.restore()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(answers_of(loaded), answers_of(model))
    assert_same(
        {str(place): each.numpy() for place, each in enumerate(model.optimizer.variables)},
        {str(place): each.numpy() for place, each in enumerate(loaded.optimizer.variables)},
    )
    cut(model, every=3)
    assert model.get_layer("conv").filters == 4
    train(model)


class Broken(BaseException):
    pass


@pytest.mark.parametrize("place", ["assign", "make_train_function"])
def test_a_failure_leaves_the_model_as_it_is(place, monkeypatch):
    model = build()
    snapshot = Snapshot(model)
    cut(model)
    train(model)
    before, old_layers, answers = state(model), list(model.layers), answers_of(model)
    function = model.train_function

    def fail(*_, **__):
        monkeypatch.undo()
        raise Broken

    monkeypatch.setattr(type(model if place == "make_train_function" else model.variables[-1]), place, fail)
    with pytest.raises(Broken):
        snapshot.restore()
    assert model.layers == old_layers
    assert model.train_function is function
    assert_same(state(model), before)
    np.testing.assert_array_equal(answers_of(model), answers)
    train(model)

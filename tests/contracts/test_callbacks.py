"""What every callback promises that cuts a model in the middle of `fit`.

Models run eagerly here, which is faster for so few steps; `tests/callbacks` trains with compiled steps as well.
"""

import json

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.callbacks import cutter
from keras_slim.callbacks.holding_callback import HoldingCallback
from keras_slim.pruning import adopt as adopting
from keras_slim.pruning import surgery

RNG = np.random.default_rng(5)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = RNG.normal(size=(48, 2)).astype("float32")

# Scores that look at data are compiled for each cut; `tests/callbacks` has them.
SHARED = {"data": (X, Y), "criterion": "l2", "guards": slim.pruning.Guards(align=1), "verbose": 0}
# Ways to make each callback, short enough for two cuts in four epochs. A new callback needs a line here.
EXAMPLES = {
    "ProgressiveGlobalPruning": {"ratio": 0.5, "rounds": 2},
    "ProgressiveGlobalPruning that searches": {
        "ratio": 0.5, "max_drop": 1e6, "monitor": "val_loss", "ratio_per_round": (0.3, 0.1), "patience": 1,
    },
    "ProgressiveGlobalPruning that distils": {
        "ratio": 0.5, "rounds": 2, "distillation": slim.distillation.Distillation(
            keras.distillation.FeatureDistillation("mse"), student_loss_weight=0.2
        ),
    },
}  # fmt: skip
NAMES = list(EXAMPLES)
WHOLE = batches(X, Y)  # one step an epoch
PLAIN = {"x": WHOLE, "verbose": 0}
DATA = {**PLAIN, "validation_data": WHOLE}


def make(name, **options):
    return getattr(slim.callbacks, name.partition(" ")[0])(**{**SHARED, **EXAMPLES[name], **options})


def compiled(model):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"], run_eagerly=True)
    return model


def twin_of(model):
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    return compiled(twin)


@pytest.fixture
def model():
    layers = [
        keras.layers.Dense(16, name="first"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Dropout(0.2, seed=1),
        keras.layers.Dense(12, "relu", name="second"),
        keras.layers.Dense(2, name="head"),
    ]
    return compiled(keras.Sequential([keras.Input((4,)), *layers]))


def test_every_callback_that_cuts_has_an_example():
    cutting = {
        name for name in slim.callbacks.__all__ if not issubclass(getattr(slim.callbacks, name), HoldingCallback)
    }
    cutting -= {"StructuredLotteryTicket"}  # goes back instead of training on, and has tests of its own
    cutting -= {"QuantizationAwareTraining", "Summaries"}  # cut nothing
    assert cutting == {name.partition(" ")[0] for name in EXAMPLES}


@pytest.mark.parametrize("name", NAMES)
def test_one_callback_serves_two_fits_of_two_models(name, model):
    callback, other = make(name), keras.models.clone_model(model)
    other.compile("sgd", "mse", run_eagerly=True)
    for trained in (model, other):
        trained.fit(**DATA, epochs=4, callbacks=[callback])
        assert 0 < trained.get_layer("first").units + trained.get_layer("second").units <= 14
        assert len(callback.rounds_done) == 2


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_is_plain_keras(name, model):
    attributes, kinds = set(vars(model)), [type(layer) for layer in model.layers]
    model.fit(**DATA)  # Keras itself adds attributes in `fit`
    attributes |= set(vars(model))
    model.fit(**DATA, epochs=4, callbacks=[make(name)])
    assert [type(layer) for layer in model.layers] == kinds
    assert set(vars(model)) <= attributes
    for part in (model, model.optimizer, *model.layers):
        for value in vars(part).values():
            assert not type(value).__module__.startswith("keras_slim"), (part, value)
    assert "keras_slim" not in model.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_config_survives_json(name):
    options = {"ignore": ["first"], "guards": slim.pruning.Guards(min_units=2, align=4), "criterion": "l1"}
    callback = make(name, **options)
    config = json.loads(json.dumps(callback.get_config()))
    again = type(callback).from_config(config)
    assert again.get_config() == callback.get_config()
    assert again.guards == options["guards"]


NUMBERS = {
    "ProgressiveGlobalPruning": {
        **EXAMPLES["ProgressiveGlobalPruning"], "window": (0.25, 0.5), "steps": 2,
        "guards": slim.pruning.Guards(np.int64(2), np.float32(0.5), np.float32(0.5), np.int64(1)),
        "distillation": slim.distillation.Distillation(student_loss_weight=np.float32(0.5)),
    },
    "StructuredLotteryTicket": {"rounds": 2, "guards": slim.pruning.Guards(min_units=np.int64(2))},
    "QuantizationAwareTraining": {"bits": {"first": 4}, "begin": 1, "delay": 1, "frozen_epochs": 2, "steps": 3},
    "QuantizationAwareTraining of all": {"bits": 4},
    "DenseSparseDense": {"sparsity": 0.5, "dense_epochs": 1, "sparse_rate": 0.5, "verbose": 0},
    "GradualPruning": {
        "sparsity": {"first": 0.5}, "schedule": slim.schedules.Polynomial(np.float32(2)), "initial_sparsity": 0.25,
        "window": (0.25, 0.5), "frequency": 2, "pattern": slim.sparsity.Block(np.int64(4), np.int64(1)),
        "ignore": np.array(["head"]),
    },
    "LotteryTicket": {"rounds": 2, "ratio": 0.5, "rewind_to": 3, "seed": 1},
    "WeightSharing": {"bits": 3, "block": 2, "codebooks": 2, "bias_bits": 2, "free_epochs": 1, "seed": 1},
    "WeightSharing of some": {"bits": {"first": 3}, "block": {"first": 2}, "codebooks": {"first": 2}},
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_numpy_are_plain_in_the_config(name):
    def config(of_numpy):
        options = keras.tree.map_structure(of_numpy, NUMBERS[name])
        return json.dumps(getattr(slim.callbacks, name.partition(" ")[0])(**options).get_config())

    of_numpy = {bool: np.bool_, int: np.int64, float: np.float32}
    assert config(lambda value: of_numpy.get(type(value), lambda same: same)(value)) == config(lambda value: value)


@pytest.mark.parametrize("name", NAMES)
def test_a_callback_from_a_config_does_the_same(name, model):
    twin = twin_of(model)
    callback = make(name)
    again = type(callback).from_config(callback.get_config())
    again.data = callback.data
    for trained, used in ((model, callback), (twin, again)):
        trained.fit(**DATA, epochs=4, callbacks=[used])
    assert [each["plan"] for each in again.rounds_done] == [each["plan"] for each in callback.rounds_done]
    np.testing.assert_array_equal(twin(X), model(X))


@pytest.mark.parametrize("name", NAMES)
def test_config_is_a_copy(name):
    callback = make(name)
    callback.get_config()["guards"]["min_units"] = 99
    assert callback.guards.min_units == 4


@pytest.mark.parametrize("name", NAMES)
def test_it_does_nothing_in_evaluate_and_predict(name, model):
    weights = model.get_weights()
    model.evaluate(WHOLE, verbose=0, callbacks=[make(name)])
    model.predict(WHOLE, verbose=0, callbacks=[make(name)])
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


class Broken(BaseException):
    """What goes wrong in the middle of a cut; a user who presses Ctrl-C is no `Exception` either."""


def broken(*args, **kwargs):
    raise Broken


def break_scoring(monkeypatch, model):
    monkeypatch.setattr(cutter, "unit_scores", broken)


def break_before_rebuilding(monkeypatch, model):
    monkeypatch.setattr(cutter, "rebuild", broken)


def break_in_rebuilding(monkeypatch, model):
    monkeypatch.setattr(surgery.Transfer, "cut", broken)


def break_before_the_optimizer(monkeypatch, model):
    monkeypatch.setattr(adopting, "OptimizerCut", broken)


def break_in_the_optimizer(monkeypatch, model):
    monkeypatch.setattr(keras.optimizers.SGD, "build", broken)


def break_before_the_swap(monkeypatch, model):
    monkeypatch.setattr(adopting, "all_layers", broken)


def break_after_the_swap(monkeypatch, model):
    """Fails when the compiled step is thrown away, after the layers were exchanged."""
    inherited = type(model).__setattr__

    def fail(self, attribute, value):
        if attribute == "train_function" and self is model:
            assert self.layers[0].units < 16  # the cut has been made
            raise Broken
        inherited(self, attribute, value)

    monkeypatch.setattr(type(model), "__setattr__", fail)


def break_in_compiling(monkeypatch, model):
    monkeypatch.setattr(type(model), "make_train_function", broken)


BREAKS = [
    break_scoring,
    break_before_rebuilding,
    break_in_rebuilding,
    break_before_the_optimizer,
    break_in_the_optimizer,
    break_before_the_swap,
    break_after_the_swap,
    break_in_compiling,
]
# The first example meets all of them, the others every second one: each is met by two examples.
MEETINGS = [
    *((NAMES[0], break_it) for break_it in BREAKS),
    *((name, break_it) for number, name in enumerate(NAMES[1:]) for break_it in BREAKS[number % 2 :: 2]),
]


def breaking_at(epoch, break_it, monkeypatch, model):
    """A callback that breaks something when an epoch begins."""

    def on_epoch_begin(current, logs=None):
        if current == epoch:
            break_it(monkeypatch, model)

    return keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin)


def state_of(model):
    return [value.numpy().copy() for value in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize(("name", "break_it"), MEETINGS)
def test_a_cut_that_fails_leaves_all_as_it_was(name, break_it, model, monkeypatch):
    """The model trains on afterwards exactly as its twin that was never asked to shrink."""
    twin = twin_of(model)
    layers, optimizer, config = list(model.layers), model.optimizer, model.get_config()
    with monkeypatch.context() as patch, pytest.raises(Broken):
        model.fit(**DATA, epochs=4, callbacks=[breaking_at(1, break_it, patch, model), make(name)])
    twin.fit(**PLAIN)
    assert model.layers == layers
    assert model.optimizer is optimizer
    assert model.get_config() == config
    for mine, theirs in zip(state_of(model), state_of(twin), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(model(X), twin(X))
    histories = [each.fit(**PLAIN).history for each in (model, twin)]
    assert histories[0] == histories[1]
    if name == NAMES[0]:  # which meets all of them
        model.fit(**DATA, epochs=4, callbacks=[make(name)])
        assert model.get_layer("first").units + model.get_layer("second").units == 14

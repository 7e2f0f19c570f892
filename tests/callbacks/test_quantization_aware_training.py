"""Training with few bits in `fit`, on the user's own model object."""

import functools
import itertools
import json

import keras
import numpy as np
import pytest
from batching import batches
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.callbacks import QuantizationAwareTraining, low_bit_twin
from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.layers.quantized import Quantized

layers = keras.layers
RNG = np.random.default_rng(3)
X = RNG.normal(size=(32, 6, 3)).astype("float32")
Y = np.tanh(X.mean(axis=(1, 2)))[:, np.newaxis]
DATA = {"x": batches(X, Y), "verbose": 0}
SLOW = pytest.mark.slow
TRAIN = functools.partial(QuantizationAwareTraining, verbose=0)


def build(kind="small", optimizer=None, **options):
    """Returns a compiled model, its weights always the same.

    Args:
        kind: `"small"`, of layers `dense`, `norm` and `head`; `"sequential"`, with much more that users of other tools
            miss; or `"functional"`, with an operation of the graph too.
        optimizer: Optional.
        **options: Options of `compile`.
    """
    keras.utils.set_random_seed(5)
    stack = [layers.Flatten(), layers.Dense(6, "tanh", name="dense"), layers.BatchNormalization(name="norm")]
    if kind != "small":
        within = layers.Conv1D(4, 3, name="deep"), layers.PReLU(name="p")
        inner = keras.Sequential([keras.Input((6, 4)), *within], name="inner")
        conv = layers.Conv1D(4, 3, padding="same", use_bias=False, name="conv")
        stack = [layers.Rescaling(0.5), conv, layers.ReLU(), inner, layers.UpSampling1D(2), *stack]
    stack.append(layers.Dense(1, name="head"))
    if kind == "functional":
        inputs = keras.Input((6, 3))
        outputs = functools.reduce(lambda tensor, layer: layer(tensor), stack, inputs)
        model = keras.Model(inputs, outputs + outputs, name="net")
    else:
        model = keras.Sequential([keras.Input((6, 3)), *stack], name="net")
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), "mse", **{"run_eagerly": True, **options})
    return model


def values(model):
    return {each.path: keras.ops.convert_to_numpy(each) for each in (*model.weights, *model.optimizer.variables)}


def check_same(one, other):
    assert len(one) == len(other)
    for (path, mine), theirs in zip(one.items(), other.values(), strict=True):
        np.testing.assert_array_equal(mine, theirs, path)


def rounding(model):
    return {each.rounding for each in model._flatten_layers() if isinstance(each, Quantized)}


def answers(model):
    return keras.ops.convert_to_numpy(model(X))


@pytest.mark.parametrize("kind", [pytest.param("sequential", marks=SLOW), "functional"])
def test_it_trains_as_the_twin_trains_alone(kind):
    model = build(kind)
    alone = slim.quantize(model, {layers.Layer: "int", "dense": slim.quantizers.Int(4)}, "int", skip=())
    alone.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse", run_eagerly=True)
    model.fit(**DATA, epochs=2, callbacks=[TRAIN(bits={"dense": 4}, frozen_epochs=0)])
    alone.fit(**DATA, epochs=2)
    check_same(values(model), values(alone))
    np.testing.assert_array_equal(answers(model), answers(alone))
    assert type(model) is type(alone)


def test_until_it_begins_the_model_trains_as_if_nothing_were_there(watch):
    """Whatever the optimizer remembers goes on: two epochs apart are two together."""
    plain, model = (build(optimizer=keras.optimizers.Adam(0.01)) for _ in range(2))
    plain.fit(**DATA, epochs=2)
    model.fit(**DATA, epochs=1)
    seen = watch(lambda model: (answers(model), model.optimizer.variables[2].numpy()))
    model.fit(**DATA, initial_epoch=1, epochs=3, callbacks=[TRAIN(begin=2), seen])
    for mine, theirs in zip(seen.at_end[0], (answers(plain), plain.optimizer.variables[2].numpy()), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert rounding(model) == {"all"}


def test_it_is_the_same_object_with_layers_that_round_and_others_follow():
    model = build("functional")
    head = model.get_layer("head")
    view = keras.Model(model.input, model.get_layer("dense").output)
    model.mine = [head]
    compiled = model.optimizer, model.loss
    model.fit(**DATA, callbacks=[TRAIN()])
    assert [model.optimizer, model.loss] == [*compiled]
    assert model.mine[0] is model.get_layer("head") is not head
    assert isinstance(model.get_layer("inner").get_layer("deep"), slim.layers.QuantConv1D)
    expected = keras.Model(model.input, model.get_layer("dense_activation").output)
    np.testing.assert_array_equal(answers(view), answers(expected))


def test_it_rounds_weights_first_and_then_all_and_says_so(capsys, watch):
    model, seen = build(), watch(rounding)
    model.fit(**DATA, epochs=4, callbacks=[QuantizationAwareTraining(bits={"head": 4}, begin=1, delay=2), seen])
    assert seen.after == [{"nothing"}, {"weights"}, {"weights"}, {"all"}]
    told = [line for line in capsys.readouterr().out.splitlines() if line]
    assert told == [
        "Epoch 2: weights (4 and 8 bits) are rounded from here on",
        "Epoch 4: weights (4 and 8 bits) and activations are rounded from here on",
    ]


def state_of(model):
    places = [each.places["inputs"] for each in model._flatten_layers() if getattr(each, "places", {}).get("inputs")]
    ranges = [float(place.variables["high"]) for place in places]
    norm = model.get_layer("norm")
    return ranges, *(each.numpy().tolist() for each in (norm.moving_mean, norm.gamma))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_in_the_last_epochs_ranges_and_averages_stay_and_weights_are_trained(compiled, watch):
    model, seen = build(run_eagerly=not compiled, jit_compile=False), watch(state_of)
    model.fit(**DATA, epochs=4, callbacks=[TRAIN(begin=1, frozen_epochs=2), seen])
    (ranges, means, gammas) = zip(*seen.before, seen.at_end[-1], strict=True)
    assert ranges[1] != ranges[2] == ranges[3] == ranges[4]
    assert means[1] != means[2] == means[3] == means[4]
    assert len(set(map(tuple, gammas))) == 5
    assert all(each.trainable for each in model._flatten_layers())
    assert len(model.trainable_weights) == len(model.optimizer._trainable_variables)
    before = state_of(model)
    model.fit(**DATA)  # as any other model
    assert all(now != then for now, then in zip(state_of(model), before, strict=True))


def test_the_first_epoch_with_ranges_is_never_frozen():
    model = build()
    model.fit(**DATA, epochs=2, callbacks=[TRAIN(begin=1, frozen_epochs=5)])
    assert float(model.get_layer("dense").places["inputs"].variables["batches"]) == 1


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=SLOW)], ids=["eager", "compiled"])
def test_a_layer_that_is_frozen_stays_frozen_and_learns_its_range(compiled):
    model = build("sequential")
    model.get_layer("inner").trainable = False
    kernel = model.get_layer("inner").get_layer("deep").kernel.numpy()
    model.compile("sgd", "mse", run_eagerly=not compiled, jit_compile=False)
    model.fit(**DATA, validation_data=DATA["x"], epochs=2, callbacks=[TRAIN(frozen_epochs=0)])
    deep = model.get_layer("inner").get_layer("deep")
    np.testing.assert_array_equal(deep.kernel, kernel)
    assert not deep.trainable
    assert not deep.is_watching
    for layer in (deep, model.get_layer("dense")):
        assert float(layer.places["inputs"].variables["batches"]) == 2  # not those of validation
    assert model.get_layer("dense").trainable


def test_it_goes_on_in_another_fit_and_serves_another_model(watch):
    model, other, callback = build(), build(), TRAIN(begin=1)
    model.fit(**DATA, epochs=2, callbacks=[callback])
    kept, seen = model.get_layer("dense"), watch(rounding)
    model.fit(**DATA, epochs=2, callbacks=[callback, seen])
    assert model.get_layer("dense") is kept
    assert seen.after == [{"all"}] * 2
    other.fit(**DATA, epochs=2, callbacks=[callback])
    assert isinstance(other.get_layer("dense"), slim.layers.QuantDense)


def test_the_logs_hold_the_gap_between_the_losses(watch):
    model = build()
    seen = watch(lambda model: model.evaluate(**DATA))
    history = model.fit(**DATA, epochs=3, callbacks=[seen, TRAIN(bits=3, begin=1, data=(X, Y))]).history
    quantized = [gap + loss for gap, loss in zip(history["quantization_gap"], history["float_loss"], strict=True)]
    np.testing.assert_allclose(quantized, seen.at_end, rtol=1e-5)
    assert history["quantization_gap"][0] == 0 != history["quantization_gap"][-1]
    for layer in model._flatten_layers():
        if isinstance(layer, Quantized):
            layer.rounding = "nothing"
    np.testing.assert_allclose(history["float_loss"][-1], model.evaluate(**DATA), rtol=1e-5)


@pytest.mark.parametrize("kind", ["dataset", "generator"])
def test_data_to_compare_on_comes_in_any_form(kind):
    model = build()
    data = DATA["x"] if kind == "dataset" else itertools.cycle(DATA["x"])
    training = TRAIN(data=data, steps=None if kind == "dataset" else 2)
    history = model.fit(**DATA, epochs=2, callbacks=[training]).history
    assert history["float_loss"][1] != history["float_loss"][0]


@pytest.mark.parametrize("first", [True, pytest.param(False, marks=SLOW)], ids=["backup first", "backup last"])
def test_a_fit_that_is_killed_again_and_again_is_taken_up(first, tmp_path):
    def fit(*others):
        model = build(optimizer=keras.optimizers.Adam(0.01))
        callback, backup = TRAIN(begin=1, delay=1), keras.callbacks.BackupAndRestore(tmp_path / "backup")
        callbacks = [backup, callback] if first else [callback, backup]
        model.fit(**DATA, epochs=5, callbacks=[*callbacks, *others])
        return model

    undisturbed = build(optimizer=keras.optimizers.Adam(0.01))
    undisturbed.fit(**DATA, epochs=5, callbacks=[TRAIN(begin=1, delay=1)])
    for killer in (Killer(1, 0), Killer(3, 0)):
        with pytest.raises(KilledError):
            fit(killer)
    check_same(values(fit()), values(undisturbed))


BESIDE = {
    "GradualPruning": {"sparsity": 0.75, "frequency": 1, "verbose": 0},
    "WeightSharing": {"bits": 2, "verbose": 0},
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_held_beside_it_is_held_in_the_integers(name):
    """Zeros stay zero, and weights that share a value share an integer, in the whole kernel."""
    model, callback = build("sequential"), getattr(slim.callbacks, name)(**BESIDE[name])
    model.fit(**DATA, epochs=2, callbacks=[callback, TRAIN(begin=1)])
    plain = slim.dequantize(model)
    for layer in ("conv", "dense", "head"):
        kernel, rounded = (each.get_layer(layer).kernel.numpy() for each in (model, plain))
        assert len(np.unique(kernel)) < kernel.size
        np.testing.assert_array_equal(rounded[kernel == 0], 0)
        if name == "WeightSharing":
            shared = [np.unique(rounded[kernel == value]) for value in np.unique(kernel)]
            assert [len(each) for each in shared] == [1] * len(shared)
            assert len(shared) <= 5


def test_phases_change_beside_it(watch):
    model = build()
    phases = slim.callbacks.DenseSparseDense(0.5, dense_epochs=1, sparse_epochs=1, redense_epochs=1, verbose=0)
    seen = watch(
        lambda model: np.mean(keras.ops.convert_to_numpy(slim.dequantize(model).get_layer("dense").kernel) == 0)
    )
    model.fit(**DATA, epochs=3, callbacks=[TRAIN(frozen_epochs=0), phases, seen])
    assert max(seen.at_end[0], seen.at_end[2]) < 0.2
    assert seen.at_end[1] >= 0.5


def test_a_model_is_cut_beside_it():
    model = build("functional")
    guards = slim.pruning.Guards(align=1, min_units=1)
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, criterion="l2", rounds=1, guards=guards, verbose=0)
    model.fit(**DATA, epochs=3, callbacks=[TRAIN(begin=1), pruning])
    assert model.get_layer("dense").units + model.get_layer("conv").filters < 10
    assert rounding(model) == {"all"}
    model.fit(**DATA)


def test_cutting_callbacks_stand_behind_it_and_it_stands_alone():
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, verbose=0)
    model = build()
    with pytest.raises(ValueError, match=r"Expected `QuantizationAwareTraining` before it.*Exchange the two"):
        model.fit(**DATA, callbacks=[pruning, TRAIN()])
    with pytest.raises(ValueError, match="Expected one `QuantizationAwareTraining` in a `fit`. Received two"):
        model.fit(**DATA, callbacks=[TRAIN(), TRAIN()])
    assert type(model.get_layer("dense")) is layers.Dense


def test_others_forget_their_best_when_more_is_rounded():
    model = build()
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)  # would stop after the second epoch
    model.fit(**DATA, epochs=2, callbacks=[TRAIN(begin=1), stopping])
    assert rounding(model) == {"all"}
    assert stopping.stopped_epoch == 0


def test_a_file_from_before_it_begins_answers_as_the_model_did_then(tmp_path, watch):
    model, seen = build(), watch(answers)
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    model.fit(**DATA, epochs=2, callbacks=[TRAIN(begin=1), saving, seen])
    for epoch, expected in enumerate(seen.at_end, 1):
        again = keras.saving.load_model(tmp_path / f"{epoch}.keras")
        np.testing.assert_allclose(answers(again), expected, rtol=1e-5, atol=1e-6)
        assert all(each.trainable for each in again._flatten_layers())


def test_what_it_left_is_exported_and_made_plain(tmp_path):
    model = build()
    model.fit(**DATA, epochs=2, callbacks=[TRAIN()])
    plain = slim.dequantize(model)
    assert not any(isinstance(each, Quantized) for each in plain._flatten_layers())
    report = slim.export_tflite(model, tmp_path / "net.tflite", "int8", verbose=0)  # no data is needed
    assert report.agreement.operations["FULLY_CONNECTED"] == 2
    assert report.agreement.sqnr_db > 20


@pytest.mark.parametrize(
    ("bits", "told"),
    [
        ({layers.Dense: slim.quantizers.Int(4, momentum=0.9), "head": "ternary", "Flatten": None}, "int(bits=4, mom"),
        pytest.param({layers.Layer: 5}, "int(bits=5)", marks=SLOW),  # a part of the first
        pytest.param(6, "int(bits=6)", marks=SLOW),  # as a quantizer for all is
        (slim.quantizers.Ternary(0.5), "ternary(threshold=0.5)"),
    ],
    ids=["each", "all in a dictionary", "bits", "a quantizer"],
)
def test_a_config_makes_the_same_callback(bits, told):
    callback = TRAIN(bits, frozen_epochs=3, skip=("last",), steps=4)
    config = json.loads(json.dumps(callback.get_config()))
    again = QuantizationAwareTraining.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    first, second = (slim.rewriting.describe(self_trained(each)) for each in (callback, again))
    assert str(first) == str(second)
    assert told in str(first)


def self_trained(callback):
    model = build()
    model.fit(**DATA, callbacks=[callback])
    return model


def test_it_does_nothing_in_evaluate_and_predict():
    model = build()
    model.evaluate(**DATA, callbacks=[TRAIN()])
    model.predict(**DATA, callbacks=[TRAIN()])
    assert type(model.get_layer("dense")) is layers.Dense


WRONG = {
    # name: (arguments, the error, its words)
    "bits": ({"bits": 9}, ValueError, "2 to 8 bits"),
    "one bit": ({"bits": {"head": 1}}, ValueError, "For one bit, use 'binary'"),
    "no quantizer": ({"bits": "tenary"}, ValueError, "ternary"),
    "no activations": ({"activations": 3.5}, TypeError, "activations"),
    "begin": ({"begin": -1}, ValueError, "begin"),
    "delay": ({"delay": 0.5}, TypeError, "delay"),
    "skip": ({"skip": "first"}, TypeError, "For one layer, give"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name):
    arguments, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        QuantizationAwareTraining(**arguments)


IN_FIT = {
    "too late": ({"begin": 1, "delay": 1}, "begin.*below the 2 epochs of `fit`. Received: begin=2"),
    "no such layer": ({"bits": {"haed": 4}}, "`bits` of `QuantizationAwareTraining`.*Did you mean 'head'"),
    "no such kind": ({"bits": {"norm": 4}}, "'norm' is a `BatchNormalization`. Received"),
    "nothing left": ({"skip": ["dense", "head"]}, "skip"),
    "data of another shape": ({"data": (X[:, :2], Y)}, "batches of shape"),
    "data without targets": ({"data": X}, "samples with targets"),
    "a generator": ({"data": iter([])}, "number of batches"),
}


@pytest.mark.filterwarnings("ignore:The layer")
@pytest.mark.parametrize("name", IN_FIT)
def test_what_does_not_fit_the_model_is_refused_before_training(name):
    arguments, words = IN_FIT[name]
    model = build()
    model.fit(**DATA)
    before = values(model)
    with pytest.raises(ValueError, match=words):
        model.fit(**DATA, epochs=2, callbacks=[TRAIN(**arguments)])
    check_same(values(model), before)
    assert type(model.get_layer("dense")) is layers.Dense


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x[:, 0])


def test_a_list_of_the_users_own_needs_a_history():
    model = build()
    before = values(model)
    own = functools.partial(keras.callbacks.CallbackList, [TRAIN(begin=1)], model=model, epochs=2, steps=1, verbose=0)
    with pytest.raises(RuntimeError, match=r"Expected .* `keras.callbacks.History`.*add_history=True"):
        model.fit(**DATA, epochs=2, callbacks=own(add_history=False))
    check_same(values(model), before)
    model.fit(**DATA, epochs=2, callbacks=own(add_history=True))
    assert rounding(model) == {"all"}


def test_a_subclassed_model_is_refused_and_the_way_out_works():
    model = Own()
    model(X)
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(UnsupportedLayerError, match="Train `keras_slim.functional"):
        model.fit(**DATA, callbacks=[TRAIN()])
    twin = slim.functional(model)
    twin.compile("sgd", "mse", run_eagerly=True)
    with pytest.warns(SlimWarning, match="Other models hold layers"):
        twin.fit(**DATA, callbacks=[TRAIN()])
    assert rounding(twin) == {"all"}


def test_if_it_fails_the_model_is_as_it_was(monkeypatch):
    model = build()
    model.fit(**DATA)
    before, kept = values(model), list(model.layers)
    monkeypatch.setattr(low_bit_twin, "variables_alike", lambda old, new: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(**DATA, callbacks=[TRAIN()])
    monkeypatch.undo()
    check_same(values(model), before)
    assert model.layers == kept
    model.fit(**DATA)


def test_a_fit_that_ends_before_it_begins_is_told_of():
    model = build()
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    with pytest.warns(SlimWarning, match=r"had rounded all.*begin \+ delay = 5"):
        model.fit(**DATA, epochs=6, callbacks=[TRAIN(begin=5), stopping])
    model.fit(**DATA, callbacks=[TRAIN()])
    assert rounding(model) == {"all"}


class Stop(keras.callbacks.Callback):
    """Interrupts a `fit` in an epoch, as a person would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.is_now = epoch == self.epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.is_now:
            raise KeyboardInterrupt


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=SLOW)], ids=["eager", "compiled"])
def test_interrupted_in_the_last_epochs_it_leaves_nothing_frozen(compiled):
    model = build(run_eagerly=not compiled, jit_compile=False)
    with pytest.raises(KeyboardInterrupt):
        model.fit(**DATA, epochs=2, callbacks=[Stop(1), TRAIN()])
    assert all(each.trainable for each in model._flatten_layers())
    before = state_of(model)
    model.fit(**DATA)
    assert all(now != then for now, then in zip(state_of(model), before, strict=True))


def test_a_file_of_the_last_epochs_can_be_trained_on(tmp_path):
    model = build()
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "net.keras", save_freq=1)
    model.fit(**DATA, epochs=2, callbacks=[saving, TRAIN()])
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert all(each.trainable for each in again._flatten_layers())


def test_averages_stay_in_the_last_epochs_of_a_model_that_is_cut_in_them(watch):
    model, seen = build(), watch(lambda model: (state_of(model), model.get_layer("dense").units))
    guards = slim.pruning.Guards(align=1, min_units=1)
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, criterion="l2", rounds=1, guards=guards, verbose=0)
    model.fit(**DATA, epochs=4, callbacks=[TRAIN(frozen_epochs=3), pruning, seen])
    (states, units) = zip(*seen.at_end, strict=True)
    assert units[1] < units[0]
    assert states[1][1] == states[2][1] == states[3][1]


def test_a_model_that_is_not_built_is_told_what_to_do():
    model = keras.Sequential([layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match=r"is not built.*Start it with a `keras.Input\(shape\)`"):
        model.fit(**DATA, callbacks=[TRAIN(data=(X, Y))])


def test_the_gap_is_that_of_a_model_that_is_cut_while_its_steps_are_compiled():
    model = build(run_eagerly=False, jit_compile=False)
    guards = slim.pruning.Guards(align=1, min_units=1)
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, criterion="l2", rounds=1, guards=guards, verbose=0)
    training = TRAIN(begin=1, data=(X, Y))
    history = model.fit(**DATA, epochs=3, callbacks=[training, pruning]).history
    assert model.get_layer("dense").units < 6
    quantized = history["float_loss"][-1] + history["quantization_gap"][-1]
    np.testing.assert_allclose(quantized, model.evaluate(**DATA), rtol=1e-5)


def test_the_first_epoch_is_never_frozen_where_no_ranges_are_learned(watch):
    model, seen = build(), watch(lambda model: model.get_layer("norm").moving_mean.numpy().tolist())
    model.fit(**DATA, epochs=2, callbacks=[TRAIN("binary", None, frozen_epochs=5), seen])
    assert seen.before[0] != seen.at_end[0] == seen.at_end[1]


@keras.saving.register_keras_serializable("mine")
class Mine(layers.Dense):
    """Derives from a layer that can round."""


def test_what_stays_real_is_told_and_layers_of_the_users_own_types_stay_what_they_are(capsys):
    stack = [Mine(4, name="mine"), layers.GRU(3, name="loop"), layers.Dense(1, name="head")]
    model = keras.Sequential([keras.Input((6, 3)), *stack], name="net")
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.warns(SlimWarning, match=r"leaves these layers as they are: 'mine' \("):
        model.fit(**DATA, callbacks=[QuantizationAwareTraining()])
    assert "These layers of model 'net' stay real: 'mine' (Mine), 'loop' (GRU)\n" in capsys.readouterr().out
    assert [type(each) for each in model.layers[:3]] == [Mine, layers.GRU, slim.layers.QuantDense]


class Block(layers.Layer):
    """Layers that can round, where they cannot be seen."""

    def __init__(self):
        super().__init__(name="block")
        self.inner = layers.Dense(4, name="inner")

    def call(self, inputs):
        return self.inner(inputs)


def test_a_model_with_blocks_becomes_a_plain_one(capsys):
    model = keras.Sequential([keras.Input((6, 3)), Block(), layers.Flatten(), layers.Dense(1)], name="net")
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(**DATA, callbacks=[QuantizationAwareTraining()])
    assert "Model 'net' is a plain functional model from now on, and so are 'block' in it" in capsys.readouterr().out
    assert isinstance(model.get_layer("block").get_layer("inner"), slim.layers.QuantDense)


def test_a_model_that_rounds_keeps_its_quantizers_and_says_so():
    model = build()
    model.fit(**DATA, callbacks=[TRAIN({"head": 4})])
    with pytest.warns(SlimWarning, match=r"rounds already.*that they have: \['head'\]"):
        model.fit(**DATA, callbacks=[TRAIN()])
    assert model.get_layer("head").kernel_quantizer.bits == 4
    model.fit(**DATA, callbacks=[TRAIN({"head": 4})])  # as it is asked: no word

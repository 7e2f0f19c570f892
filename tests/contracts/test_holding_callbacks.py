"""What every callback promises that holds single weights, at zero or tied, in the middle of `fit`.

Eager steps are most of the time these tests take: a fit has eight, with an optimizer that is cheap and has slots, and
what an undisturbed fit comes to is found once for each example.
"""

import copy
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from batching import batches
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.callbacks.holding_callback import HoldingCallback
from keras_slim.callbacks.mask_callback import MaskCallback
from keras_slim.errors import SlimWarning
from keras_slim.sparsity import Masks, kernels

RNG = np.random.default_rng(5)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = RNG.normal(size=(48, 2)).astype("float32")
MASKS = Masks({"net/first/kernel": RNG.random((4, 16)) < 0.5, "net/head/kernel": RNG.random((12, 2)) < 0.5})
# Ways to make each callback, for a fit of four epochs of two steps. A new callback needs a line here.
EXAMPLES = {
    "DenseSparseDense": {"sparsity": 0.5, "dense_epochs": 1, "sparse_epochs": 1, "redense_epochs": 2, "verbose": 0},
    "DenseSparseDense twice": {
        "sparsity": {"first": 0.5, "second": 0.25}, "sparse_epochs": 1, "redense_epochs": 1, "repeats": 2, "verbose": 0,
    },
    "GradualPruning": {"sparsity": 0.8, "frequency": 2, "verbose": 0},
    "GradualPruning of some": {
        "sparsity": {"first": 0.5, "second": 0.75}, "schedule": "linear", "initial_sparsity": 0.25,
        "window": (0.25, 0.5), "frequency": 1, "pattern": "block", "verbose": 0,
    },
    "GradualPruning of all together": {"scope": "global", "pattern": "n_of_m", "frequency": 3, "verbose": 0},
    "HoldMasks": {"masks": MASKS},
    "LotteryTicket": {"rounds": 1, "ratio": 0.5, "rewind_to": 3, "verbose": 0},
    "LotteryTicket of fresh weights": {"rounds": 1, "control": "random_reinit", "verbose": 0},
    "LotteryTicket at random": {"rounds": 3, "control": "random_mask", "scope": "global", "verbose": 0},
    "HoldMasks as they are": {},
    "WeightSharing": {"bits": 2, "verbose": 0},
    "WeightSharing of some, later": {
        "bits": {"first": 1, "head": 3}, "init": "kmeans++", "gradient": "sum", "bias_bits": 2,
        "free_epochs": 1, "verbose": 0,
    },
}  # fmt: skip
NAMES = list(EXAMPLES)
KINDS = [name for name in NAMES if " " not in name]  # one of each class
# What a class does at the end of `fit`, wanted or not, it does whatever its arguments: one of each is enough where time
# is short, and all of them are slow tests.
SHORT = [pytest.param(name, marks=[] if name in KINDS else pytest.mark.slow) for name in NAMES]
TAKEN_UP = [*KINDS, "DenseSparseDense twice", "LotteryTicket at random"]  # they count, or draw, from round to round
WITH_CONFIG = [name for name in NAMES if name != "HoldMasks"]  # which was given masks
EPOCHS = 4
BATCHES = batches(X, Y, 24)
DATA = {"x": BATCHES, "epochs": EPOCHS, "verbose": 0}
ONE_EPOCH = {**DATA, "epochs": 1}
COMPILED = {
    "tensorflow": {"jit_compile": False, "steps_per_execution": 2},
    "jax": {"jit_compile": True, "steps_per_execution": 2},
    "torch": {"jit_compile": False},
}
"""How steps are compiled on each backend; PyTorch takes one at a time, eagerly."""


def make(name):
    return getattr(slim.callbacks, name.partition(" ")[0])(**EXAMPLES[name])


def build(seed=1, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, "tanh", name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.2, seed=3, name="dropout"),
            keras.layers.Dense(12, "tanh", name="second", kernel_constraint=keras.constraints.MaxNorm(2.0)),
            keras.layers.Dense(2, name="head"),
        ],
        name="net",
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"], **{"run_eagerly": True, **options})
    return model


def state_of(model):
    return [value.numpy().copy() for value in (*model.variables, *model.optimizer.variables)]


def held(callback):
    """What a callback holds weights to."""
    return callback.masks if isinstance(callback, MaskCallback) else callback.codes


def outcome(model, callback):
    """What a fit has come to: all values of the model and its optimizer, what is held, and what the callback tells."""
    return state_of(model), held(callback), getattr(callback, "rounds_done", None)


@functools.cache
def attributes_after_fit():
    """The attributes of a model that was trained without any of them: Keras itself adds some in `fit`."""
    model = build()
    model.fit(**ONE_EPOCH)
    return set(vars(model))


@functools.cache
def undisturbed(name):
    """The outcome of a fit to its end, how often it was checked that what is held is held, and the callback."""
    model, callback = build(), make(name)
    checking = Held(callback)
    model.fit(**DATA, callbacks=[checking, callback])
    return copy.deepcopy(outcome(model, callback)), checking.checked, callback


def check_as_undisturbed(name, model, callback):
    (expected, to, told), *_ = undisturbed(name)
    state, found, tells = outcome(model, callback)
    for mine, theirs in zip(state, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert found == to
    assert tells == told


def check_held(weight, to):
    """Checks that a weight is zero where a mask or a code is, and the same for each other code."""
    assert not weight[to == 0].any()
    if to.dtype != bool:
        assert all(len(np.unique(weight[to == code])) == 1 for code in np.unique(to))


def check_free(model):
    """Checks that weights are neither zero nor tied."""
    for weight in kernels(model).values():
        assert np.all(weight.numpy() != 0)
        assert len(np.unique(weight)) > np.size(weight) / 2


class Held(keras.callbacks.Callback):
    """Checks after every step that what a callback holds is held."""

    def __init__(self, callback):
        super().__init__()
        self.callback = callback
        self.checked = 0

    def on_train_batch_end(self, batch, logs=None):
        found = {weight.path: weight for weight in self.model.weights}
        for path, to in (held(self.callback) or {}).items():
            check_held(found[path].numpy(), to)
            self.checked += 1


def test_every_callback_that_holds_has_an_example():
    holding = {name for name in slim.callbacks.__all__ if issubclass(getattr(slim.callbacks, name), HoldingCallback)}
    assert holding == {name.partition(" ")[0] for name in EXAMPLES}


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_after_every_step(name):
    assert undisturbed(name)[1] > 0


@pytest.mark.parametrize("name", KINDS)
def test_it_holds_after_every_call_of_compiled_steps(name):
    model, callback = build(run_eagerly=False, **COMPILED[keras.backend.backend()]), make(name)
    checking = Held(callback)
    model.fit(**DATA, callbacks=[checking, callback])
    assert checking.checked > 0


@pytest.mark.parametrize("name", SHORT)
def test_one_callback_serves_two_fits_of_two_models(name):
    model, callback = build(), undisturbed(name)[-1]
    model.fit(**DATA, callbacks=[callback])
    check_as_undisturbed(name, model, callback)


@pytest.mark.parametrize("name", SHORT)
def test_what_is_left_is_plain_keras(name, tmp_path):
    model = build()
    shapes, own = [weight.shape for weight in model.weights], model.get_layer("second").kernel.constraint
    model.fit(**DATA, callbacks=[make(name)])
    assert set(vars(model)) <= attributes_after_fit()
    assert [weight.shape for weight in model.weights] == shapes
    assert model.get_layer("second").kernel.constraint is own
    assert [weight.constraint for weight in model.weights].count(None) == len(model.weights) - 1
    assert "keras_slim" not in model.to_json()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X), model(X))
    model.fit(**ONE_EPOCH)
    check_free(model)


@pytest.mark.parametrize("name", WITH_CONFIG)
def test_a_callback_from_a_config_does_the_same(name):
    callback = make(name)
    again = type(callback).from_config(json.loads(json.dumps(callback.get_config())))
    assert again.get_config() == callback.get_config()
    model = build()
    model.fit(**DATA, callbacks=[again])
    check_as_undisturbed(name, model, again)


@pytest.mark.parametrize("name", NAMES)
def test_it_does_nothing_in_evaluate_and_predict(name):
    model = build()
    before = state_of(model)
    model.evaluate(BATCHES, verbose=0, callbacks=[make(name)])
    model.predict(BATCHES, verbose=0, callbacks=[make(name)])
    for old, new in zip(before, state_of(model), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        pytest.param(name, first, marks=[] if name in TAKEN_UP else pytest.mark.slow)
        for name, first in zip(NAMES, itertools.cycle([True, False]), strict=False)
    ],
)
def test_a_fit_that_is_killed_again_and_again_is_taken_up(name, first, tmp_path):
    """In two epochs, and after the last one: nothing is left then but the end, and what the callback tells."""

    def fit(*others):
        model, callback = build(), make(name)
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        callbacks = [backup, callback] if first else [callback, backup]
        model.fit(**DATA, callbacks=[*callbacks, *others])
        return model, callback

    for killer in (Killer(1), Killer(3), Killer(EPOCHS - 1, None)):
        with pytest.raises(KilledError):
            fit(killer)
    check_as_undisturbed(name, *fit())
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("name", SHORT)
def test_an_interrupted_fit_leaves_a_model_that_works(name):
    model = build()
    with pytest.raises(KilledError):
        model.fit(**DATA, callbacks=[make(name), Killer(2)])
    slim.sparsity.release(model)
    assert [weight.constraint for weight in model.weights].count(None) == len(model.weights) - 1
    model.fit(**ONE_EPOCH)
    check_free(model)


def test_layers_without_names_of_their_own_are_known_again(tmp_path):
    """In the same process, a model made anew has other paths."""

    def fit(*others):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)])
        model.compile("sgd", "mse", run_eagerly=True)
        callback = slim.callbacks.GradualPruning(0.5, frequency=1, verbose=0)
        model.fit(**DATA, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), callback, *others])
        return model

    with pytest.raises(KilledError):
        fit(Killer(2))
    masks = Masks.nonzero(fit())
    assert masks.sparsity == 0.5
    assert "sequential/dense/kernel" not in masks


def test_other_arguments_cannot_take_up_a_fit(tmp_path):
    def fit(sparsity, *others):
        dsd = slim.callbacks.DenseSparseDense(sparsity, 1, 2, 1, verbose=0)
        build().fit(**DATA, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), dsd, *others])

    with pytest.raises(KilledError):
        fit(0.5, Killer(2))
    with pytest.raises(RuntimeError, match="Expected the arguments it had then"):
        fit(0.25)


def test_backups_within_epochs_are_refused(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=2)
    with pytest.raises(ValueError, match="Received: save_freq=2"):
        build().fit(**DATA, callbacks=[make("HoldMasks"), backup])


def test_weights_of_an_unknown_backup_are_warned_of(tmp_path):
    with pytest.raises(KilledError):
        build().fit(**DATA, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Killer(2)])
    with pytest.warns(SlimWarning, match="begins anew with weights out of"):
        build().fit(**DATA, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), make("HoldMasks")])


@pytest.mark.parametrize("names", [("HoldMasks", "DenseSparseDense"), ("WeightSharing", "GradualPruning")])
def test_two_callbacks_that_hold_cannot_share_a_fit(names):
    model = build()
    with pytest.raises(ValueError, match=f"Received: {', '.join(names)}. Call `fit` once for each"):
        model.fit(**DATA, callbacks=list(map(make, names)))
    assert [weight.constraint for weight in model.weights].count(None) == len(model.weights) - 1


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "behind ours"])
@pytest.mark.parametrize("name", ["DenseSparseDense", "GradualPruning"])
def test_early_stopping_puts_back_weights_that_suit_the_masks(name, first):
    """The dense network is by far the best; what is put back has the zeros of the epoch it comes from."""

    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["scripted"] = [0, 5, 3, 4, 5, 6][epoch]

    model, callback = build(), make(name)
    stop = keras.callbacks.EarlyStopping("scripted", mode="min", patience=1, restore_best_weights=True)
    pair = [stop, callback] if first else [callback, stop]
    model.fit(**{**DATA, "epochs": 6}, callbacks=[Scripted(), *pair])
    assert Masks.nonzero(model, callback.masks) == callback.masks
    assert stop.best != 0


def test_a_metric_of_several_values_is_kept():
    model = build()
    model.compile("sgd", "mse", metrics=[keras.metrics.F1Score(average=None)], run_eagerly=True)
    lottery = make("LotteryTicket")
    model.fit(**DATA, callbacks=[lottery])
    assert np.shape(lottery.rounds_done[0]["history"]["f1_score"]) == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DenseSparseDense", "WeightSharing"])
def test_a_process_that_is_killed_is_taken_up(name, tmp_path):
    """The signal comes wherever it comes: in a step, in a callback, while a file is written."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path[:0] = {[os.path.dirname(os.path.dirname(__file__)), os.path.dirname(__file__)]!r}
            import keras, numpy as np
            import test_holding_callbacks as contract
            model = contract.build(run_eagerly=False, jit_compile=False)
            backup = keras.callbacks.BackupAndRestore({str(tmp_path / "backup")!r}, double_checkpoint=True)
            tell = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: print("step", flush=True))
            callbacks = [contract.make({name!r}), *([backup, tell] if "resumable" in sys.argv else [])]
            data = contract.batches(contract.X, contract.Y, 12)
            model.fit(data, epochs=6, verbose=0, callbacks=callbacks)
            np.savez(sys.argv[1], *contract.state_of(model))
        """)
    )

    def run(path, *options, steps=None):
        process = subprocess.Popen(
            [sys.executable, str(script), str(path), *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(steps or 0):
            process.stdout.readline()
        if steps:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode

    assert run(tmp_path / "whole.npz") == 0
    for steps in (6, 5, 5):
        assert run(tmp_path / "resumed.npz", "resumable", steps=steps) == -signal.SIGKILL
    assert run(tmp_path / "resumed.npz", "resumable") == 0
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "resumed.npz") as resumed:
        for key in whole.files:
            np.testing.assert_array_equal(resumed[key], whole[key])


@pytest.mark.slow
def test_two_devices_train_one_network():
    """Logical devices must be made before TensorFlow starts, hence in a process of its own."""
    program = textwrap.dedent("""
        import keras, numpy as np, tensorflow as tf
        import keras_slim as slim

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
        for callback, zeros in (
            (slim.callbacks.DenseSparseDense(0.5, 1, 1, 2, verbose=0), 0),
            (slim.callbacks.GradualPruning(0.5, frequency=1, verbose=0), 20),
            (slim.callbacks.LotteryTicket(1, 0.5, verbose=0), 20),
            (slim.callbacks.WeightSharing(1, verbose=0), 0),
            (slim.callbacks.StructuredLotteryTicket(1, 0.5, verbose=0), 0),
        ):
            with strategy.scope():
                layers = [keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
                model = keras.Sequential([keras.Input((4,)), *layers])
                model.compile(keras.optimizers.Adam(0.01), "mse")
            model.fit(x, x[:, :1], epochs=4, batch_size=8, verbose=0, callbacks=[callback])
            found = sum(int((kernel.numpy() == 0).sum()) for kernel in slim.sparsity.kernels(model).values())
            assert found == zeros, (callback, found)
            if isinstance(callback, slim.callbacks.WeightSharing):
                assert [len(np.unique(kernel)) for kernel in slim.sparsity.kernels(model).values()] == [2, 2]
                assert all(kernel.constraint is None for kernel in model.weights)
        assert model.layers[0].units == 4
        print("trained")
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("trained\n"), done.stderr

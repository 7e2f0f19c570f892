"""A `fit` that is killed, beside `BackupAndRestore`, and started again with a model made anew."""

import json
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.callbacks.backup import METADATA, WEIGHTS

ORDERS = pytest.mark.parametrize("first", [True, False], ids=["backup first", "backup last"])
OPTIMIZERS = {
    "SGD with momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)),
    "loss scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}
EPOCHS = 6
SEARCH = {
    "ratio": None, "max_drop": 0.1, "monitor": "val_scripted", "mode": "max", "ratio_per_round": (0.25, 0.125),
    "patience": 2, "window": (0, 0.99),
}  # fmt: skip


class Scripted(keras.callbacks.Callback):
    """Puts a metric of given values into the logs, for callbacks that come later in the list."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_scripted"] = self.values[epoch]


@pytest.fixture
def train(x, y, tmp_path):
    """Returns the function that trains a model, kills it in each of some epochs, and starts again each time."""

    def train(build, ours, kills=(), *, first=True, values=(0.0,) * EPOCHS, folder="backup", between=None, **backup):
        for kill in (*kills, None):
            keras.utils.set_random_seed(3)
            model, callback = build(), ours()
            saving = keras.callbacks.BackupAndRestore(tmp_path / folder, **backup)
            killer = Killer(kill - 1, None) if kill == len(values) else Killer(kill)
            callbacks = [Scripted(values), *([saving, callback] if first else [callback, saving]), killer]
            options = {"epochs": len(values), "batch_size": 16, "shuffle": False, "verbose": 0}
            try:
                model.fit(x, y, **options, callbacks=callbacks)
            except KilledError:
                assert kill is not None
                if between:
                    between(tmp_path / folder)
        return model, callback

    return train


@pytest.fixture
def halve(prune):
    """Returns the function that makes the callback whose cuts are made when epochs 2 and 4 of 6 begin."""
    return lambda **options: prune(**{"window": (0.34, 0.67), **options})


def check_equal(one, two):
    """Checks that two trainings ended alike, bit for bit."""
    (model, callback), (other, undisturbed) = one, two
    assert len(callback.rounds_done) == len(undisturbed.rounds_done)
    for done, expected in zip(callback.rounds_done, undisturbed.rounds_done, strict=True):
        assert {**done, "seconds": 0} == {**expected, "seconds": 0}
    assert callback.trajectory == undisturbed.trajectory
    found, expected = ([*each.variables, *each.optimizer.variables] for each in (model, other))
    for variable, value in zip(found, expected, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value.numpy(), err_msg=variable.path)


def units(model):
    return model.get_layer("first").units + model.get_layer("second").units


@ORDERS
@pytest.mark.parametrize("kills", [[1], [3], [5], [1, 2, 3, 4, 5, 6]], ids=str)
def test_a_killed_fit_ends_as_an_undisturbed_one(build, halve, train, first, kills):
    expected = train(build, halve, folder="undisturbed")
    assert [each["epoch"] for each in expected[1].rounds_done] == [2, 4]
    check_equal(train(build, halve, kills, first=first), expected)


@pytest.mark.parametrize("kind", ["sequential", "functional"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_slots_of_optimizers_fit(build, halve, train, optimizer, kind):
    def made():
        return build(OPTIMIZERS[optimizer](), kind=kind)

    check_equal(train(made, halve, [3, 5]), train(made, halve, folder="undisturbed"))


def test_compiled_steps_and_a_criterion_with_data(build, halve, train, x, y):
    def made():
        return build("adam", run_eagerly=False)

    def ours():
        return halve(criterion="taylor", data=(x, y))

    check_equal(train(made, ours, [3]), train(made, ours, folder="undisturbed"))


@ORDERS
@pytest.mark.parametrize("kills", [[3], [4], [1, 2, 3, 4, 5, 6]], ids=str)
def test_a_search_goes_on(build, prune, train, first, kills):
    """The cut of epoch 1 holds, that of epoch 2 does not in two epochs: epoch 4 begins with a way back."""

    def ours():
        return prune(**SEARCH)

    values = [0.9, 0.9, 0.5, 0.5, 0.9, 0.9, 0.9]
    expected = train(lambda: build("adam"), ours, values=values, folder="undisturbed")
    assert [each["held"] for each in expected[1].rounds_done] == [True, False, True, True, True]
    check_equal(train(lambda: build("adam"), ours, kills, values=values, first=first), expected)


@pytest.mark.parametrize("kills", [[3], [4], [2, 3]], ids=str)
def test_a_search_goes_back_at_the_end(build, prune, train, kills):
    """Also where it is killed after its last epoch, and nothing is left but the way back."""

    def ours():
        return prune(**SEARCH)

    values = [0.9, 0.9, 0.5, 0.5]
    expected = train(lambda: build("adam"), ours, values=values, folder="undisturbed")
    assert units(expected[0]) == expected[1].rounds_done[0]["units"] == 24
    check_equal(train(lambda: build("adam"), ours, kills, values=values), expected)


@ORDERS
@pytest.mark.parametrize("kills", [[1], [2, 3, 5]], ids=str)
def test_the_dense_network_goes_on_teaching(build, halve, train, first, kills):
    def ours():
        loss = keras.distillation.FeatureDistillation("mse")
        return halve(distillation=slim.distillation.Distillation(loss, student_loss_weight=0.2))

    expected = train(build, ours, folder="undisturbed")
    found = train(build, ours, kills, first=first)
    check_equal(found, expected)
    assert "compute_loss" not in vars(found[0])
    taught, untaught = (
        found[0].get_layer("head").kernel,
        train(build, halve, folder="alone")[0].get_layer("head").kernel,
    )
    assert np.abs(taught - untaught).max() > 0


def test_random_layers_go_on_where_they_were(halve, train):
    """Keras itself does not save the states of random layers."""

    def made():
        layers = [
            keras.layers.Dense(16, "relu", name="first"),
            keras.layers.Dropout(0.3, seed=1, name="dropout"),
            keras.layers.Dense(16, "relu", name="second"),
            keras.layers.GaussianNoise(0.1, seed=2, name="noise"),
            keras.layers.Dense(2, name="head"),
        ]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile("adam", "mse", run_eagerly=True)
        return model

    check_equal(train(made, halve, [1, 3, 5]), train(made, halve, folder="undisturbed"))


@pytest.mark.parametrize("kills", [[1], [2], [2, 4]], ids=str)
def test_weights_of_the_middle_of_an_epoch(build, halve, train, kills):
    """They may be those of the network after a cut, in an epoch that Keras begins once more."""
    model, callback = train(build, halve, kills, save_freq=2)
    assert [each["units"] for each in callback.rounds_done] == [22, 16]
    assert units(model) == 16


def test_a_broken_file_of_weights(build, halve, train):
    """`BackupAndRestore(double_checkpoint=True)` takes the one before."""

    def tear(folder):
        """Leaves what a kill in the middle of saving leaves: the file before is copied first."""
        for name in (WEIGHTS, METADATA):
            (folder / f"{name}.bkp").write_bytes((folder / name).read_bytes())
        (folder / WEIGHTS).write_bytes(b"torn")

    expected = train(build, halve, folder="undisturbed")
    check_equal(train(build, halve, [3], double_checkpoint=True, between=tear), expected)


def test_the_files_of_keras_are_those_that_are_read(build, halve, train, tmp_path):
    train(build, halve, delete_checkpoint=False)
    found = {path.name for path in (tmp_path / "backup").iterdir()}
    ours = {f"keras_slim-ProgressiveGlobalPruning-{epoch}.npz" for epoch in (EPOCHS - 1, EPOCHS)}
    assert found == {WEIGHTS, METADATA, *ours}
    assert json.loads((tmp_path / "backup" / METADATA).read_text())["epoch"] == EPOCHS


def test_parts_that_are_not_needed_are_taken_away(build, prune, train, tmp_path):
    train(build, lambda: prune(**SEARCH), values=[0.9] * 6, delete_checkpoint=False)
    assert len(list((tmp_path / "backup").glob("*-kept-*.npz"))) == 2


def test_other_arguments_are_refused(build, halve, train):
    made = iter([halve(), halve(rounds=3)])
    with pytest.raises(RuntimeError, match=r"Received others \(before, now\): \{'rounds': \(2, 3\)\}"):
        train(build, lambda: next(made), [3], folder="other")


def test_a_model_that_was_cut_is_refused(build, halve, train):
    model = build()
    with pytest.raises(RuntimeError, match="made anew by the script that was killed"):
        train(lambda: model, halve, [3])


def test_a_missing_part_is_told(build, prune, train):
    def lose(folder):
        for path in folder.glob("*-kept-*.npz"):
            path.unlink()

    with pytest.raises(RuntimeError, match="ends in 'kept-0.npz'"):
        train(build, lambda: prune(**SEARCH), [2], values=[0.9] * 4, between=lose)


def test_a_backup_without_a_record_is_taken_up_by_keras_alone(build, halve, train):
    others = iter([keras.callbacks.Callback(), halve(rounds=1)])
    _, callback = train(build, lambda: next(others), [2])
    assert [each["epoch"] for each in callback.rounds_done] == [3]  # in the middle of the four that are left


def test_evaluate_takes_nothing_up(build, halve, train, x, y, tmp_path):
    with pytest.raises(RuntimeError):
        train(build, iter([halve(), halve(rounds=3)]).__next__, [3])
    model = build()
    model.evaluate(x, y, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup"), halve()])
    assert units(model) == 32


@pytest.mark.slow
def test_a_process_that_is_killed(tmp_path):
    """SIGKILL in the middle of epochs 1, 3 and 5, then to the end; beside an undisturbed process."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for kill in (1, 3, 5):
        done = subprocess.run([sys.executable, script, tmp_path / "killed", str(kill)], check=False)
        assert done.returncode == -signal.SIGKILL
    for folder in ("killed", "undisturbed"):
        subprocess.run([sys.executable, script, tmp_path / folder, "-1"], check=True)
    found, expected = (np.load(tmp_path / f"{folder}.npz") for folder in ("killed", "undisturbed"))
    assert found.files == expected.files
    for name in expected.files:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


SCRIPT = textwrap.dedent(
    """
    import os, signal, sys
    import keras, numpy as np, keras_slim as slim

    folder, kill = sys.argv[1], int(sys.argv[2])

    class Killer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (kill, 1):
                os.kill(os.getpid(), signal.SIGKILL)

    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    y = (x[:, :1] > x[:, 1:2]).astype("float32")
    layers = [keras.layers.Dense(32, "relu"), keras.layers.Dropout(0.1), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("adam", "binary_crossentropy")
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        ratio=0.5, rounds=2, data=(x, y), window=(0.34, 0.67), distillation=slim.distillation.Distillation()
    )
    backup = keras.callbacks.BackupAndRestore(folder)
    model.fit(x, y, epochs=6, batch_size=16, shuffle=False, verbose=0, callbacks=[backup, pruning, Killer()])
    np.savez(folder + ".npz", *model.get_weights(), epochs=[each["epoch"] for each in pruning.rounds_done])
    """
)

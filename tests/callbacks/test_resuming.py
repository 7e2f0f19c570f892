"""A `fit` that is killed, beside `BackupAndRestore`, and started again with a model made anew."""

import dataclasses
import json
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
from keras_slim.callbacks.backup import METADATA, WEIGHTS

FIRST, LAST = True, False  # where the backup stands in the list of callbacks
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

    def train(build, ours, kills=(), *, first=True, values=(0.0,) * EPOCHS, batch_size=24, between=None, **backup):
        for kill in (*kills, None):
            keras.utils.set_random_seed(3)
            model, callback = build(), ours()
            saving = keras.callbacks.BackupAndRestore(tmp_path / "backup", **backup)
            killer = Killer(kill - 1, None) if kill == len(values) else Killer(kill)
            callbacks = [Scripted(values), *([saving, callback] if first else [callback, saving]), killer]
            options = {"epochs": len(values), "verbose": 0}
            try:
                model.fit(batches(x, y, batch_size), **options, callbacks=callbacks)
            except KilledError:
                assert kill is not None
                if between:
                    between(tmp_path / "backup")
        return model, callback

    return train


@pytest.fixture
def halve(prune):
    """Returns the function that makes the callback whose cuts are made when epochs 2 and 4 of 6 begin."""
    return lambda **options: prune(**{"window": (0.34, 0.67), **options})


@pytest.fixture
def momentum(build):
    """Returns a compiled model whose optimizer has slots."""
    return lambda: build(keras.optimizers.SGD(0.05, momentum=0.9))


@dataclasses.dataclass
class Outcome:
    """What a training has come to."""

    rounds_done: list
    trajectory: object
    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, model, callback):
        variables = [*model.variables, *model.optimizer.variables]
        return cls(
            [{**done, "seconds": 0} for done in callback.rounds_done],
            callback.trajectory,
            {each.path: each.numpy().copy() for each in variables},
        )


@pytest.fixture(scope="module")
def outcomes():
    return {}


@pytest.fixture
def undisturbed(train, outcomes):
    """Returns the function that tells what a training that is not killed comes to; of each name, one is trained."""

    def undisturbed(name, build, ours, **options):
        if name not in outcomes:
            outcomes[name] = Outcome.of(*train(build, ours, **options))
        return outcomes[name]

    return undisturbed


def check_equal(trained, expected):
    """Checks that a training ended like another, bit for bit."""
    found = Outcome.of(*trained)
    assert found.rounds_done == expected.rounds_done
    assert found.trajectory == expected.trajectory
    for (path, value), other in zip(found.values.items(), expected.values.values(), strict=True):
        np.testing.assert_array_equal(value, other, err_msg=path)


def units(model):
    return model.get_layer("first").units + model.get_layer("second").units


@pytest.mark.parametrize(
    ("first", "kills"),
    [(FIRST, [2, 4, 6]), (LAST, [1, 3, 5, 6])],
    ids=str,
)
def test_a_killed_fit_ends_as_an_undisturbed_one(momentum, halve, train, undisturbed, first, kills):
    expected = undisturbed("plain", momentum, halve)
    assert [each["epoch"] for each in expected.rounds_done] == [2, 4]
    check_equal(train(momentum, halve, kills, first=first), expected)


@pytest.mark.parametrize(
    ("optimizer", "kind", "kill"),
    [
        pytest.param("SGD with momentum", "functional", 3, marks=pytest.mark.slow),  # as above, but not Sequential
        ("Adam", "sequential", 5),
        ("loss scaled", "functional", 3),
    ],
)
def test_slots_of_optimizers_fit(build, halve, train, undisturbed, optimizer, kind, kill):
    def made():
        return build(OPTIMIZERS[optimizer](), kind=kind)

    check_equal(train(made, halve, [kill]), undisturbed((optimizer, kind), made, halve))


def test_compiled_steps_and_a_criterion_with_data(build, halve, train, undisturbed, x, y):
    def made():
        return build(keras.optimizers.SGD(0.05, momentum=0.9), run_eagerly=False, jit_compile=False)

    def ours():
        return halve(criterion="taylor", data=(x, y))

    check_equal(train(made, ours, [3]), undisturbed("compiled", made, ours))


@pytest.mark.parametrize(
    ("first", "kills"),
    [(FIRST, [2, 3, 5]), (LAST, [1, 3, 4, 6])],
    ids=str,
)
def test_a_search_goes_on(momentum, prune, train, undisturbed, first, kills):
    """The cut of epoch 1 holds, that of epoch 2 does not in two epochs: epoch 4 begins with a way back."""

    def ours():
        return prune(**SEARCH)

    values = [0.9, 0.9, 0.5, 0.5, 0.9, 0.9, 0.9]
    expected = undisturbed("search", momentum, ours, values=values)
    assert [each["held"] for each in expected.rounds_done] == [True, False, True, True, True]
    check_equal(train(momentum, ours, kills, values=values, first=first), expected)


@pytest.mark.parametrize("kills", [[4], [2, 3]], ids=str)
def test_a_search_goes_back_at_the_end(momentum, prune, train, undisturbed, kills):
    """Also where it is killed after its last epoch, and nothing is left but the way back."""

    def ours():
        return prune(**SEARCH)

    values = [0.9, 0.9, 0.5, 0.5]
    expected = undisturbed("search that goes back", momentum, ours, values=values)
    model, callback = train(momentum, ours, kills, values=values)
    assert units(model) == expected.rounds_done[0]["units"] == 24
    check_equal((model, callback), expected)


@pytest.mark.parametrize(("first", "kills"), [(FIRST, [1]), (LAST, [2, 3, 5])], ids=str)
def test_the_dense_network_goes_on_teaching(momentum, halve, train, undisturbed, first, kills):
    def ours():
        loss = keras.distillation.FeatureDistillation("mse")
        return halve(distillation=slim.distillation.Distillation(loss, student_loss_weight=0.2))

    expected = undisturbed("taught", momentum, ours)
    model, callback = train(momentum, ours, kills, first=first)
    check_equal((model, callback), expected)
    assert "compute_loss" not in vars(model)
    untaught = undisturbed("plain", momentum, halve)
    taught, plain = (
        [value for path, value in each.values.items() if path.endswith("head/bias")] for each in (expected, untaught)
    )
    assert len(taught) == len(plain) == 1
    assert (taught[0] != plain[0]).any()


def test_random_layers_go_on_where_they_were(halve, train, undisturbed):
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
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    check_equal(train(made, halve, [1, 3]), undisturbed("random layers", made, halve))


@pytest.mark.parametrize("kills", [[1], [2, 4]], ids=str)
def test_weights_of_the_middle_of_an_epoch(build, halve, train, kills):
    """They may be those of the network after a cut, in an epoch that Keras begins once more."""
    model, callback = train(build, halve, kills, batch_size=16, save_freq=2)
    assert [each["units"] for each in callback.rounds_done] == [22, 16]
    assert units(model) == 16


def test_a_broken_file_of_weights(momentum, halve, train, undisturbed):
    """`BackupAndRestore(double_checkpoint=True)` takes the one before."""

    def tear(folder):
        """Leaves what a kill in the middle of saving leaves: the file before is copied first."""
        for name in (WEIGHTS, METADATA):
            (folder / f"{name}.bkp").write_bytes((folder / name).read_bytes())
        (folder / WEIGHTS).write_bytes(b"torn")

    expected = undisturbed("plain", momentum, halve)
    check_equal(train(momentum, halve, [3], double_checkpoint=True, between=tear), expected)


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
        train(build, lambda: next(made), [3])


def test_a_model_that_was_cut_is_refused(build, halve, train):
    model = build()
    with pytest.raises(RuntimeError, match="made anew by the script that was killed"):
        train(lambda: model, halve, [3])


@pytest.mark.parametrize("make", ["cutting", "holding"])
def test_processes_in_different_epochs_are_refused(build, halve, train, monkeypatch, make):
    ours = {"cutting": halve, "holding": lambda: slim.callbacks.GradualPruning(0.5, verbose=0)}[make]

    def others_are_ahead(folder):
        monkeypatch.setattr("keras_slim.callbacks.backup.of_first_process", lambda epoch: epoch + 1)

    with pytest.raises(RuntimeError, match="same epoch. .*Received 3 in .*Copy the folder"):
        train(build, ours, [3], between=others_are_ahead)


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
    model.evaluate(batches(x, y), verbose=0, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup"), halve()])
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

"""`GradualPruning`: how many weights are zero when, that they stay so, and that a killed `fit` goes on as it would.

There are 16 samples in batches of 4: an epoch has 4 steps, unless a test says otherwise. The two kernels have 4 x 25
and 25 x 2 weights.
"""

import importlib.util
import itertools
import json
import os
import subprocess
import sys

import batching
import keras
import numpy as np
import pytest
import tensorflow as tf
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.callbacks import GradualPruning
from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.sparsity import Block, Masks, NOfM, kernels

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(16, 4)).astype("float32"), RNG.normal(size=(16, 2)).astype("float32")
SIZES = (100, 50)
FIT = {"x": batching.batches(X, Y, 4), "verbose": 0}


def build(optimizer=None, **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(25, "relu", name="hidden"), keras.layers.Dense(2, name="head")],
        name="net",
    )
    optimizer = optimizer or keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, "mse", **{"jit_compile": False, **options})
    return model


def prune(*args, **options):
    return GradualPruning(*args, **{"verbose": 0, **options})


def zeros(model):
    return [int((kernel.numpy() == 0).sum()) for kernel in kernels(model).values()]


class Watch(keras.callbacks.Callback):
    """Notes the zeros of both kernels after each call of the training step; give it after the callback that prunes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(zeros(self.model))


def counts(shares, sizes=SIZES):
    return [[round(share * size) for size in sizes] for share in shares]


def test_sparsity_follows_the_formula_of_zhu_and_gupta():
    """8 epochs of 4 steps; from step 0 to step 24, every 4 steps: 1/6 of the way at each epoch's end, cubic."""
    model, watch = build(), Watch()
    history = model.fit(**FIT, epochs=8, callbacks=[prune(0.9, initial_sparsity=0.1, frequency=4), watch]).history
    shares = [0.9 + (0.1 - 0.9) * (1 - min(epoch / 6, 1)) ** 3 for epoch in range(1, 9)]
    expected = counts(shares)
    assert watch.seen[3::4] == expected
    assert watch.seen[0::4] == [[10, 5], *expected[:-1]]  # between two turns nothing changes
    np.testing.assert_allclose(history["sparsity"], [sum(pair) / 150 for pair in expected])
    assert zeros(model) == [90, 45]


@pytest.mark.parametrize(
    ("schedule", "way"),
    [
        ("linear", lambda progress: progress),
        ("cosine", lambda progress: (1 - np.cos(np.pi * progress)) / 2),
        ("constant", lambda progress: 1),
        (slim.schedules.Polynomial(2), lambda progress: 1 - (1 - progress) ** 2),
        (lambda progress: progress**2, lambda progress: progress**2),
    ],
    ids=["linear", "cosine", "constant", "polynomial", "function"],
)
def test_every_schedule_is_followed_in_its_window(schedule, way):
    """8 epochs of 4 steps, window from step 8 to step 24, every 3 steps."""
    model, watch = build(), Watch()
    model.fit(**FIT, epochs=8, callbacks=[prune(0.8, schedule, window=(0.25, 0.75), frequency=3), watch])
    shares, share = [], 0.0
    for step in range(1, 33):
        if (8 <= step <= 24 and (step - 8) % 3 == 0) or step == 24:
            share = 0.8 * way((step - 8) / 16)
        shares.append(share)
    assert watch.seen == counts(shares)


@pytest.mark.parametrize("steps_per_execution", [1, 2, 3, 4, 7])
def test_the_end_is_exact_whatever_the_number_of_steps_in_a_call(steps_per_execution):
    model, watch = build(steps_per_execution=steps_per_execution), Watch()
    pruning = prune(0.7, "linear", frequency=2)
    history = model.fit(**FIT, epochs=4, callbacks=[pruning, watch]).history["sparsity"]
    assert watch.seen == sorted(watch.seen)
    np.testing.assert_allclose(history, [pair / 150 for pair in map(sum, counts([0.7 / 3, 1.4 / 3, 0.7, 0.7]))])
    assert zeros(model) == [70, 35]


def test_several_steps_in_a_call_are_pruned_for_when_a_turn_has_passed():
    """12 steps in calls of 3 (the last of each epoch has 1): turns at 5 and 9, that is after steps 6 and 9."""
    model, watch = build(steps_per_execution=3), Watch()
    model.fit(**FIT, epochs=3, callbacks=[prune(0.9, "linear", window=(0, 0.99), frequency=5), watch])
    # Calls end at steps 3, 4, 7, 8, 11, 12; turns lie at 5 and 10, the window ends at 12.
    assert watch.seen == counts([0, 0, 0.9 * 7 / 12, 0.9 * 7 / 12, 0.9 * 11 / 12, 0.9])


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.AdamW(0.05, weight_decay=0.1),
        lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
    ],
    ids=["momentum", "decay", "average"],
)
def test_zeros_are_held_and_never_come_back(optimizer):
    model, seen = build(optimizer()), []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(Masks.nonzero(note.model)))
    pruning = prune(0.9, frequency=3)
    model.fit(**FIT, epochs=6, callbacks=[pruning, note])
    for before, after in itertools.pairwise(seen):
        for path in before:
            assert not (after[path] & ~before[path]).any()
    assert Masks.nonzero(model) == pruning.masks
    assert zeros(model) == [90, 45]


def test_the_smallest_go_by_the_weights_of_the_moment():
    model = build(keras.optimizers.SGD(0.0))
    before = np.abs(model.get_layer("hidden").kernel.numpy()).ravel()
    model.fit(**FIT, epochs=2, callbacks=[prune(0.6, frequency=1)])
    kept = model.get_layer("hidden").kernel.numpy().ravel() != 0
    assert set(np.flatnonzero(~kept)) == set(np.argsort(before)[:60])


def test_a_global_scope_ranks_all_weights_together():
    model = build(keras.optimizers.SGD(0.0))
    before = np.concatenate([np.abs(kernel.numpy()).ravel() for kernel in kernels(model).values()])
    history = model.fit(**FIT, epochs=4, callbacks=[prune(0.6, "linear", "global", frequency=4)]).history
    kept = np.concatenate([kernel.numpy().ravel() != 0 for kernel in kernels(model).values()])
    assert set(np.flatnonzero(~kept)) == set(np.argsort(before)[:90])
    np.testing.assert_allclose(history["sparsity"], [30 / 150, 60 / 150, 90 / 150, 90 / 150])
    assert zeros(model) != [60, 30]


def test_a_dictionary_leaves_all_others_dense():
    model = build()
    history = model.fit(**FIT, epochs=4, callbacks=[prune({"head": 0.5})]).history
    assert zeros(model) == [0, 25]
    assert history["sparsity"][-1] == 0.5  # of the kernels that are pruned


def test_layers_can_be_left_dense():
    model = build()
    model.fit(**FIT, epochs=2, callbacks=[prune(0.5, ignore=["hidden"])])
    assert zeros(model) == [0, 25]
    model = keras.Sequential(
        [keras.Input((4, 1)), keras.layers.Conv1D(4, 2), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(**FIT, epochs=2, callbacks=[prune(0.5, skip_first_convolution=True)])
    assert zeros(model) == [0, 12]


def test_blocks_go_whole():
    """4 x 25 weights are 2 x 9 blocks of 2 x 3, those of the last column smaller; 25 x 2 are 13 x 1."""
    model = build()
    model.fit(**FIT, epochs=4, callbacks=[prune(0.5, pattern=Block(2, 3), frequency=1)])
    hidden, head = (kernel.numpy() == 0 for kernel in kernels(model).values())
    blocks = [hidden[row : row + 2, column : column + 3] for row in (0, 2) for column in range(0, 25, 3)]
    assert [block.all() for block in blocks] == [block.any() for block in blocks]
    assert sum(block.all() for block in blocks) == 9
    assert sum(head[row : row + 2].all() for row in range(0, 25, 2)) == 6  # of 13; 6.5 is rounded to the even number


@pytest.mark.parametrize(("pattern", "n", "m"), [("n_of_m", 2, 4), (NOfM(1, 4), 1, 4), (NOfM(2, 3), 2, 3)])
def test_n_of_m_brings_its_own_sparsity(pattern, n, m):
    model, pruning = build(), prune(pattern=pattern, frequency=2)
    assert pruning.sparsity == 1 - n / m
    model.fit(**FIT, epochs=4, callbacks=[pruning])
    for kernel in kernels(model).values():
        kept = kernel.numpy() != 0
        assert max(kept[start : start + m].sum(0).max() for start in range(0, len(kept), m)) == n
    assert zeros(model) == [round((1 - n / m) * size) for size in SIZES]


def test_the_default_is_nine_in_ten():
    assert GradualPruning().sparsity == 0.9
    assert GradualPruning(pattern="block").sparsity == 0.9


def batches(repeat=1):
    """A dataset that does not know how many batches it has."""
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    return dataset.filter(lambda x, y: True).repeat(repeat)


@pytest.mark.filterwarnings("ignore:.*ran out of data")
def test_an_unknown_number_of_steps_is_counted_in_the_first_epoch():
    """Turns lie at steps 0, 3, 6, 9 and 12 of 16; that of step 3 waits until it is known how long the epoch was."""
    model, watch = build(), Watch()
    pruning = prune(0.8, "linear", initial_sparsity=0.4, frequency=3)
    history = model.fit(batches(), epochs=4, verbose=0, shuffle=False, callbacks=[pruning, watch]).history["sparsity"]
    # At the beginning of the second epoch, after step 4, and of the third, weights are ranked as well.
    ways = [0] * 4 + [4 / 12, 6 / 12, 6 / 12, 6 / 12] + [9 / 12, 9 / 12, 9 / 12, 1] + [1] * 4
    assert watch.seen == counts([0.4 + 0.4 * way for way in ways])
    assert history[-1] == pytest.approx(0.8)


@pytest.mark.filterwarnings("ignore:.*ran out of data")
@pytest.mark.parametrize("epochs", [1, 2])
def test_the_end_is_reached_in_a_fit_whose_steps_are_never_known(epochs):
    model = build()
    history = model.fit(batches(), epochs=epochs, verbose=0, shuffle=False, callbacks=[prune(0.8)]).history["sparsity"]
    assert zeros(model) == [80, 40]
    assert history[-1] == pytest.approx(0.8)


def test_steps_per_epoch_are_taken_at_their_word():
    model, watch = build(), Watch()
    pruning = prune(0.8, "linear", window=(0, 0.5), frequency=2)
    model.fit(batches(None), steps_per_epoch=2, epochs=4, verbose=0, shuffle=False, callbacks=[pruning, watch])
    assert watch.seen == counts([0, 0.4, 0.4, *[0.8] * 5])


@pytest.mark.filterwarnings("ignore:.*ran out of data")
def test_a_fit_with_fewer_steps_than_promised_ends_as_sparse():
    """Data for 2 of 3 epochs."""
    model = build()
    model.fit(batches(2), steps_per_epoch=4, epochs=3, verbose=0, shuffle=False, callbacks=[prune(0.8)])
    assert zeros(model) == [80, 40]


def test_a_fit_that_ends_too_early_is_told():
    def stop(epoch, logs):
        model.stop_training = epoch == 1

    model = build()
    with pytest.warns(SlimWarning, match="(?s)ended before `GradualPruning`.*sparsity of 0.9.*Train for longer"):
        model.fit(**FIT, epochs=8, callbacks=[prune(frequency=1), keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    assert 0 < zeros(model)[0] < 90
    assert model.get_layer("hidden").kernel.constraint is None


def test_a_fit_without_epochs_is_no_reason_to_warn():
    build().fit(**FIT, initial_epoch=2, epochs=2, callbacks=[prune()])


def test_epochs_are_counted_from_the_first_of_fit():
    model = build()
    history = model.fit(**FIT, initial_epoch=4, epochs=8, callbacks=[prune(0.9, "linear", frequency=4)]).history
    np.testing.assert_allclose(history["sparsity"], [0.3, 0.6, 0.9, 0.9])


def unknown_steps():
    return {"x": batches(), "verbose": 0, "shuffle": False}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*ran out of data")
@pytest.mark.parametrize("data", [FIT, unknown_steps], ids=["known steps", "unknown steps"])
@pytest.mark.parametrize("kill", [(3, 1), (7, 2), (2, None)], ids=str)
@pytest.mark.parametrize("backup_first", [True, False], ids=["backup first", "backup last"])
def test_a_killed_fit_goes_on_as_if_nothing_had_been(tmp_path, data, kill, backup_first):
    if kill == (2, None) and data is unknown_steps and backup_first:
        pytest.skip("killed between two callbacks, with steps that nobody knows: one epoch of steps is lost")
    data = data if isinstance(data, dict) else data()

    def fit(*more):
        model, backup = build(), keras.callbacks.BackupAndRestore(tmp_path)
        callbacks = (
            [backup, *more, prune(0.9, frequency=3)] if backup_first else [prune(0.9, frequency=3), backup, *more]
        )
        return model, model.fit(**data, epochs=9, callbacks=callbacks).history

    undisturbed = build()
    expected = undisturbed.fit(**data, epochs=9, callbacks=[prune(0.9, frequency=3)]).history
    with pytest.raises(KilledError):
        fit(Killer(*kill))
    model, history = fit()
    assert history["sparsity"] == expected["sparsity"][-len(history["sparsity"]) :]
    assert len(history["sparsity"]) < 9
    for old, new in zip(undisturbed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_one_callback_serves_two_fits():
    pruning = prune(0.9, frequency=3)
    histories = [build().fit(**FIT, epochs=4, callbacks=[pruning]).history for _ in range(2)]
    assert histories[0] == histories[1]


def test_a_model_that_is_sparse_already_stays_so():
    model = build()
    model.fit(**FIT, epochs=4, callbacks=[prune(0.5)])
    first = Masks.nonzero(model)
    model.fit(**FIT, epochs=4, callbacks=[prune(0.9, initial_sparsity=0.5)])
    assert zeros(model) == [90, 45]
    assert not any((mask & ~first[path]).any() for path, mask in Masks.nonzero(model).items())


def test_what_is_left_is_plain_keras():
    model = build()
    model.fit(**FIT, epochs=4)
    attributes = set(vars(model))
    model.fit(**FIT, epochs=4, callbacks=[prune()])
    assert set(vars(model)) <= attributes
    for part in (model, model.optimizer, *model.layers, *model.weights):
        for value in vars(part).values():
            assert not type(value).__module__.startswith("keras_slim"), (part, value)


def test_others_judge_the_sparse_network_by_its_own_epochs():
    model, best = build(), keras.callbacks.EarlyStopping("loss", patience=100, restore_best_weights=True)
    model.fit(**FIT, epochs=8, callbacks=[best, prune(0.9)])
    assert zeros(model) == [90, 45]
    assert best.best_epoch >= 5


def test_one_line_tells_when_it_is_reached(capsys):
    build().fit(**FIT, epochs=4, callbacks=[GradualPruning(0.9)])
    lines = capsys.readouterr().out.split("\n")
    assert lines == ["", "Epoch 3: sparsity 0.900 is reached, 135 of 150 weights are zero from here on", ""]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sparsity": {"head": 0.5}, "ignore": ["hidden"], "verbose": 0},
        {"schedule": slim.schedules.Polynomial(2), "scope": "global", "window": (0.25, 0.5), "frequency": 7},
        {"pattern": NOfM(1, 4), "initial_sparsity": 0.25, "skip_first_convolution": True},
        {"sparsity": 0.4, "pattern": Block(2, 2, "max"), "schedule": "constant"},
    ],
    ids=" ".join,  # of the names of the arguments: their values show where they lie in memory
)
def test_config_survives_json(options):
    pruning = GradualPruning(**options)
    again = GradualPruning.from_config(json.loads(json.dumps(pruning.get_config())))
    assert again.get_config() == pruning.get_config()
    assert again.window == pruning.window


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.0}, r"`sparsity` of `GradualPruning`.*share in \[0, 1\)"),
        ({"sparsity": 90}, r"`sparsity`.*For 90 per cent, give 0\.9"),
        ({"sparsity": {"head": 1.5}}, "`sparsity`"),
        ({"sparsity": {"head": 0.5}, "scope": "global"}, "`sparsity`.*ranks them together"),
        ({"sparsity": 0.9, "pattern": "n_of_m"}, r"`sparsity`.*Expected 0\.5, the only share.*`pattern='n_of_m'`"),
        ({"initial_sparsity": 0.95}, r"`initial_sparsity`.*at most 0\.9"),
        ({"initial_sparsity": 0.6, "sparsity": {"head": 0.5, "hidden": 0.9}}, r"`initial_sparsity`.*at most 0\.5"),
        ({"schedule": "cubik"}, r"`schedule`.*Did you mean 'cubic'\?"),
        ({"scope": "layers"}, r"`scope`.*Did you mean 'layer'\?"),
        ({"window": (0.5, 0.25)}, "`window`.*0 <= begin <= end < 1"),
        ({"frequency": 0}, "`frequency`.*at least 1"),
        ({"pattern": "blok"}, r"`pattern`.*Did you mean 'block'\?"),
    ],
    ids=str,
)
def test_an_argument_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GradualPruning(**options)


def test_a_name_that_is_not_found_is_refused_before_training():
    for options in ({"sparsity": {"haed": 0.5}}, {"ignore": ["haed"]}):
        model = build()
        with pytest.raises(ValueError, match=r"Did you mean 'head'\?"):
            model.fit(**FIT, callbacks=[prune(**options)])
        assert model.optimizer.iterations == 0
    with pytest.raises(UnsupportedLayerError, match="`GradualPruning` finds nothing to prune"):
        build().fit(**FIT, callbacks=[prune(ignore=["hidden", "head"])])


class PolynomialDecay:
    """What a `PruningSchedule` of TensorFlow Model Optimization does, with plain values or with tensors."""

    def __init__(self, begin_step, end_step, frequency, final=0.8, initial=0.2, of=lambda value: value):
        self.begin_step, self.end_step, self.frequency = begin_step, end_step, frequency
        self.final, self.initial, self.of = final, initial, of

    def __call__(self, step):
        within = self.begin_step <= step and (step <= self.end_step or self.end_step < 0)
        progress = min(1.0, max(0.0, (step - self.begin_step) / (self.end_step - self.begin_step)))
        sparsity = self.final + (self.initial - self.final) * (1 - progress) ** 3
        return self.of(within and (step - self.begin_step) % self.frequency == 0), self.of(np.float32(sparsity))


@pytest.mark.parametrize("of", [lambda value: value, tf.constant], ids=["plain", "tensor"])
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_a_step_schedule_is_followed(of, steps_per_execution):
    """From step 2 to step 12 of 16, every 4 steps."""
    model, watch = build(steps_per_execution=steps_per_execution), Watch()
    pruning = prune(schedule=PolynomialDecay(2, 12, 4, of=of))
    assert (pruning.sparsity, pruning.frequency) == (0.8, 4)
    model.fit(**FIT, epochs=4, callbacks=[pruning, watch])
    shares = [0.8 - 0.6 * (1 - progress / 10) ** 3 for progress in (0, 4, 8, 10)]
    by_step = counts([0, 0, *[shares[0]] * 4, *[shares[1]] * 4, *[shares[2]] * 2, *[shares[3]] * 5])
    ends = range(1, 17) if steps_per_execution == 1 else (3, 4, 7, 8, 11, 12, 15, 16)
    assert watch.seen == [by_step[step] for step in ends]


@pytest.mark.filterwarnings("ignore:.*ran out of data")
def test_a_step_schedule_needs_no_number_of_steps():
    models = [build(), build()]
    histories = [
        model.fit(
            data, epochs=4, verbose=0, shuffle=False, callbacks=[prune(schedule=PolynomialDecay(2, 12, 4))]
        ).history["sparsity"]
        for model, data in zip(models, (batches(), tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)), strict=True)
    ]
    assert histories[0] == histories[1]


def test_a_killed_fit_goes_on_by_the_steps_of_its_schedule(tmp_path):
    def fit(model, *callbacks):
        return model.fit(**FIT, epochs=6, callbacks=[*callbacks, prune(schedule=PolynomialDecay(2, 20, 3))]).history

    expected = fit(build())["sparsity"]
    with pytest.raises(KilledError):
        fit(build(), keras.callbacks.BackupAndRestore(tmp_path), Killer(2, 1))
    assert fit(build(), keras.callbacks.BackupAndRestore(tmp_path))["sparsity"] == expected[2:]


def test_a_step_schedule_beyond_the_end_of_fit_is_told():
    with pytest.warns(SlimWarning, match="Training ended before"):
        build().fit(**FIT, epochs=2, callbacks=[prune(schedule=PolynomialDecay(2, 100, 3))])


def test_a_step_schedule_brings_its_own_arguments():
    schedule = PolynomialDecay(2, 12, 4)
    for name, value in {"sparsity": 0.5, "initial_sparsity": 0.0, "window": (0, 0.5), "frequency": 10}.items():
        with pytest.raises(ValueError, match=f"`{name}` of `GradualPruning`.*PolynomialDecay.*Leave out `{name}`"):
            GradualPruning(schedule=schedule, **{name: value})
    with pytest.raises(ValueError, match=r"`sparsity`.*Expected 0\.5, the only share"):
        GradualPruning(schedule=schedule, pattern="n_of_m")
    with pytest.raises(ValueError, match="cannot be written down: its schedule is a PolynomialDecay"):
        GradualPruning(schedule=schedule).get_config()


def test_a_step_schedule_can_lead_to_n_of_m():
    model = build()
    pruning = prune(schedule=PolynomialDecay(0, 12, 4, final=2 / 3, initial=0.0), pattern=NOfM(1, 3))
    model.fit(**FIT, epochs=4, callbacks=[pruning])
    assert zeros(model) == [round(2 / 3 * size) for size in SIZES]
    assert pruning.sparsity == 1 - 1 / 3


REAL = """
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_schedule import ConstantSparsity, PolynomialDecay
import keras
import numpy as np
import keras_slim as slim

assert keras.__version__ >= "3"
x, y = np.random.rand(16, 4), np.random.rand(16, 1)
for schedule in (PolynomialDecay(0.2, 0.8, 2, 12, frequency=4), ConstantSparsity(0.5, 6, frequency=4)):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(25, name="hidden"), keras.layers.Dense(4)])
    model.compile("sgd", "mse")
    pruning = slim.callbacks.GradualPruning(schedule=schedule, verbose=0)
    history = model.fit(x, y, batch_size=4, epochs=4, verbose=0, callbacks=[pruning]).history
    print(*(round(150 * 4 / 3 * sparsity) for sparsity in history["sparsity"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None, reason="needs `keras_slim[tfmot]`"
)
def test_the_real_schedules_are_followed():
    """In a process of its own: that package turns `tf.keras` back to Keras 2 for all that is imported after it."""
    done = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    # 200 weights; at the ends of epochs, after 4, 8, 12 and 16 steps. Turns of the first lie at 2, 6, 10 and its end.
    shares = [0.8 - 0.6 * (1 - progress / 10) ** 3 for progress in (0, 4, 10, 10)]
    expected = [sum(pair) for pair in counts(shares, (100, 100))], [0, 100, 100, 100]
    assert done.stdout.splitlines() == [" ".join(map(str, line)) for line in expected]

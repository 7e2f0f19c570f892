"""A callback that fails when it cuts the model, at whatever step: what `fit` leaves is a working model."""

import contextlib

import keras
import numpy as np
import pytest
from batching import batches
from failing import FailureError, Steps
from killing import KilledError, Killer
from untouched import Picture

import keras_slim as slim

CALLBACKS = ("keras_slim.callbacks", "keras_slim.distillation.teaching")
TAUGHT = slim.distillation.Distillation(keras.distillation.FeatureDistillation("mse"), student_loss_weight=0.25)
RNG = np.random.default_rng(3)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 2)).astype("float32")
DATA = batches(X, Y)
STEPS = ("train_function", "test_function")
"""Made anew where they are missing."""
SEARCH = {"ratio": None, "max_drop": 0.1, "monitor": "val_scripted", "mode": "max", "window": (0, 0.99), "patience": 1}


def each(every, slow=1):
    """Lets one of some steps fail in quick runs, and more, or each, in slow ones."""
    return pytest.mark.parametrize("every", [every, pytest.param(slow, marks=pytest.mark.slow)])


def make():
    """Returns a small model that has made a step."""
    layers = [keras.layers.Dense(8, "relu", name="first"), keras.layers.Dense(2, use_bias=False)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse", run_eagerly=True)
    model.train_on_batch(X, Y)
    return model


class Begin(keras.callbacks.Callback):
    """Lets the callbacks between it and its `end` fail at a moment: a method, and the epoch if it has one."""

    def __init__(self, moment, epoch=None):
        super().__init__()
        self.steps = self.picture = None
        self.stack = contextlib.ExitStack()
        self.end = keras.callbacks.Callback()
        self._epoch = epoch
        setattr(self, moment, self._open)
        setattr(self.end, moment, lambda *_: self.stack.close())

    def _open(self, epoch, logs=None):
        if self._epoch in (None, epoch):
            self.picture = Picture(self.model, without=STEPS)
            self.stack.enter_context(self.failing)


class Scripted(keras.callbacks.Callback):
    """Puts a metric of given values into the logs."""

    def __init__(self, values):
        super().__init__()
        self._values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_scripted"] = self._values[epoch]


def check_works(model, units, message):
    """Checks that the parts of a model belong together, and nothing of the callback is left on it.

    Args:
        model: The model.
        units: The numbers of units that it may have.
        message: What is said of a failure.
    """
    assert "compute_loss" not in vars(model), message
    trained = [id(each) for each in model.trainable_variables]
    assert [id(each) for each in model.optimizer._trainable_variables] == trained, message
    first, head = model.layers
    assert first.units == first.kernel.shape[1] == head.kernel.shape[0], message
    assert first.units in units, message
    before = model.get_weights()
    model.train_on_batch(X, Y)
    for one, other in zip(before, model.get_weights(), strict=True):
        assert (one != other).any(), message


def check_fits(callbacks, begin, steps, units, is_new=False, **options):
    """Checks that a `fit` that fails at whatever step leaves the model as it was, or the other that was to be made.

    Each begins with what the one before has left, model and callbacks; the last one gets through.

    Args:
        callbacks: The callbacks that may fail, and others before them.
        begin: The `Begin` among them.
        steps: The `Steps` that fail.
        units: The numbers of units that the other may have.
        is_new: Whether each begins with a new model, since they are cut before they fail.
        **options: For `fit`.
    """
    model = make()
    for failing in steps.each():
        begin.failing, begin.picture = failing, None
        with contextlib.suppress(FailureError), begin.stack:
            model.fit(DATA, verbose=0, callbacks=[*callbacks, begin.end], **options)
        differences = begin.picture.differences()
        if differences:
            check_works(model, units, f"{steps.place} left: {differences[:5]}")
        if steps.place and (differences or is_new):
            model = make()
    return model


@each(47)
def test_a_cut_with_a_teacher(prune, every):
    begin, ours = Begin("on_epoch_begin", 0), prune(rounds=1, window=(0, 0.5), distillation=TAUGHT)
    check_fits([begin, ours], begin, Steps(*CALLBACKS, most=1, every=every), units=[4])
    assert len(ours.rounds_done) == 1


@each(23)
def test_a_lottery_ticket(every):
    begin, ours = Begin("on_epoch_begin", 1), slim.callbacks.StructuredLotteryTicket(1, 0.5, verbose=0)
    model = check_fits([begin, ours], begin, Steps(*CALLBACKS, most=1, every=every), units=[4], epochs=2)
    assert ours.ticket.count_params() == model.count_params() == 4 * 5 + 4 * 2


@each(43, slow=3)
def test_a_search_that_goes_back(prune, every):
    """Kept when epoch 1 begins, cut then, too much, back when epoch 2 begins, and cut by less."""
    begin, ours = Begin("on_epoch_begin", 2), prune(**SEARCH, ratio_per_round=(0.5, 0.25))
    callbacks, steps = [Scripted([0.9, 0.5, 0.9]), begin, ours], Steps(*CALLBACKS, most=1, every=every)
    model = check_fits(callbacks, begin, steps, units=[8, 6], is_new=True, epochs=3)
    assert model.layers[0].units == 6


@each(23)
def test_a_search_that_goes_back_at_the_end(prune, every):
    begin, ours = Begin("on_train_end"), prune(**SEARCH, ratio_per_round=0.5)
    callbacks, steps = [Scripted([0.9, 0.5]), begin, ours], Steps(*CALLBACKS, most=1, every=every)
    check_fits(callbacks, begin, steps, units=[8], is_new=True, epochs=2)


@pytest.fixture
def killed(prune, tmp_path):
    """Returns the function that makes the callbacks that take up a `fit` of 4 epochs: with a teacher and two cuts."""

    def callbacks():
        saving = keras.callbacks.BackupAndRestore(tmp_path)
        return [Scripted([0.9] * 4), saving], prune(**SEARCH, ratio_per_round=0.25, distillation=TAUGHT)

    others, ours = callbacks()
    with contextlib.suppress(KilledError):
        make().fit(DATA, verbose=0, epochs=4, callbacks=[*others, ours, Killer(3, 0)])
    return callbacks


@each(43, slow=4)
def test_taking_up_a_fit_that_was_killed(killed, every):
    """The same model begins again after each failure."""
    others, ours = killed()
    begin, steps = Begin("set_params"), Steps(*CALLBACKS, most=1, every=every)
    model = check_fits([*others, begin, ours], begin, steps, units=[4], epochs=4)
    assert [each["units"] for each in ours.rounds_done] == [6, 4]
    assert model.layers[0].units == 4


def test_taking_up_when_a_file_is_missing(killed, tmp_path):
    """That of the network to go back to is read when the model is that network."""
    (others, ours), model = killed(), make()
    (file,) = tmp_path.glob("*-kept-1.npz")
    model.fit(DATA, verbose=0)
    content, picture = file.read_bytes(), Picture(model, without=(*STEPS, "history"))
    file.unlink()
    with pytest.raises(RuntimeError, match="kept-1.npz"):
        model.fit(DATA, epochs=4, verbose=0, callbacks=[*others, ours])
    assert picture.differences() == []
    file.write_bytes(content)
    model.fit(DATA, epochs=4, verbose=0, callbacks=[*others, ours])
    check_works(model, [4], "")


MADE = {
    "a cut with a teacher": lambda prune: (prune(rounds=1, window=(0.5, 0.9), distillation=TAUGHT), []),
    "a lottery ticket": lambda prune: (slim.callbacks.StructuredLotteryTicket(1, 0.5, verbose=0), []),
    "a search": lambda prune: (prune(**SEARCH, ratio_per_round=0.5), [Scripted([0.9, 0.9])]),
}


@pytest.mark.parametrize("name", MADE)
def test_no_memory_for_the_step_of_the_smaller_model(prune, monkeypatch, name):
    """The one error that may well come when all has been exchanged."""
    ours, others = MADE[name](prune)
    begin, model = Begin("on_epoch_begin", 1), make()
    begin.failing = contextlib.nullcontext()

    def fail(self, force=False):
        if begin.picture and force:
            raise MemoryError("no more")
        return whole(self, force=force)

    whole = type(model).make_train_function
    monkeypatch.setattr(type(model), "make_train_function", fail)
    callbacks = [*others, begin, ours]
    with pytest.raises(MemoryError, match="no more"):
        model.fit(DATA, epochs=2, verbose=0, callbacks=callbacks)
    assert begin.picture.differences() == []
    monkeypatch.undo()
    model.fit(DATA, epochs=2, verbose=0, callbacks=callbacks)
    check_works(model, [4], name)


class Stops(keras.callbacks.Callback):
    """Raises an error of the user's own at a moment of the epoch in which the cut is made."""

    def __init__(self, moment, error):
        super().__init__()
        self._epoch = None
        setattr(self, moment, self._raise)
        self._error = error

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def _raise(self, number, logs=None):
        if 1 in (self._epoch, number):
            raise self._error


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("moment", ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"])
def test_errors_of_others_in_the_epoch_of_a_cut(prune, name, moment):
    """The model is the smaller one. The next `fit` learns from no teacher, whether the callback is there or not."""
    ours, others = MADE[name](prune)
    model = make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(DATA, epochs=2, verbose=0, callbacks=[*others, ours, Stops(moment, KeyboardInterrupt)])
    own = float(np.square(model(X) - Y).mean())
    model.reset_metrics()
    assert model.train_on_batch(X, Y) == pytest.approx(own, rel=1e-5)
    check_works(model, [4], name)

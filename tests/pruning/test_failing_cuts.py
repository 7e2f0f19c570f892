"""A cut that fails at any of its steps leaves everything as it was."""

import contextlib

import keras
import numpy as np
import pytest
from failing import FailureError, Steps
from untouched import Picture

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import rebuild

layers = keras.layers
RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 4)).astype("float32")
Y = RNG.normal(size=(6, 2)).astype("float32")
OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "own schedule": lambda: keras.optimizers.SGD(Falling(), momentum=0.9),
    "loss scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9)),
}


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule without a config."""

    def __call__(self, step):
        return 0.1 / (1.0 + keras.ops.cast(step, "float32"))


class Own(keras.Model):
    """A model with a model inside, a layer that is called twice, views, and attributes of every kind."""

    def __init__(self):
        stack = [layers.Dense(4, use_bias=False, name="deep"), layers.BatchNormalization(scale=False, name="norm")]
        base = keras.Sequential([keras.Input((4,)), *stack], name="base")
        shared = layers.Dense(4, use_bias=False, name="shared")
        inputs = keras.Input((4,))
        tensor = layers.Add(name="add")([shared(base(inputs)), shared(inputs)])
        hidden = layers.Dropout(0.2, seed=1, name="dropout")(tensor)
        super().__init__(inputs, layers.Dense(2, use_bias=False, name="head")(hidden), name="own")
        self.base, self.blocks, self.named = base, [shared, self.get_layer("head")], {"shared": shared}
        self.view = keras.Model(inputs, tensor, name="view")
        self.scale = self.add_weight(shape=(), name="scale", trainable=False)
        self.seen = keras.metrics.Mean(name="seen")
        self.beside = layers.Dense(1, use_bias=False, name="beside", trainable=False)
        self.beside.build((None, 2))
        self.note = "mine"


def functional(optimizer="momentum", **options):
    return compiled(Own(), optimizer, **options)


def sequential(optimizer="momentum", **options):
    stack = [layers.Dense(4, "relu", name="first"), layers.Dense(2, use_bias=False, name="head")]
    return compiled(keras.Sequential([keras.Input((4,)), *stack]), optimizer, **options)


def each(every):
    """Lets one of some steps fail in quick runs, and each in slow ones."""
    return pytest.mark.parametrize("every", [every, pytest.param(1, marks=pytest.mark.slow)])


def compiled(model, optimizer, **options):
    model.compile(OPTIMIZERS[optimizer](), "mse", metrics=["mae"], **{"run_eagerly": True, **options})
    model.train_on_batch(X, Y)
    return model


def with_view(model):
    """Returns a model, and one on its layers that it knows nothing of."""
    return model, keras.Model(model.inputs[0], model.outputs[0] * 2.0, name="around")


def half(model):
    graph = analyse(model)
    return rebuild(graph, np.arange(graph.num_units) % 2 == 0)


LOOKING = ("keras_slim.scoring.leave_one_out", "keras_slim.graph.rules.recurrent", "keras_slim.graph.own_activations")
NODES = ("_inbound_nodes",)
"""Operations of views that a cut uses again, since nothing in them changes, note each call; no model looks there."""


def state_of(models):
    """Returns all values of models and their optimizers, and what the models answer."""
    values = []
    for model in models:
        values += [*model.variables, *(model.optimizer.variables if model.compiled else []), model(X)]
    return [keras.ops.convert_to_numpy(each) for each in values]


def check_alike(models, twins, message):
    """Checks that models have the same values as others, bit for bit, now and after another step."""
    for step in range(2):
        for one, other in zip(state_of(models), state_of(twins), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=message)
        if not step:
            assert models[0].train_on_batch(X, Y) == twins[0].train_on_batch(X, Y)


def check_fails_whole(make, ready, steps):
    """Checks that what fails, at whatever step, leaves everything as it was, and then is done as if nothing had been.

    Args:
        make: Function that returns a compiled model, and others that belong to it; the same each time.
        ready: Function of the model that returns the function that does it.
        steps: The `Steps` that fail.
    """
    models, twins = make(), make()
    picture = Picture(*models, without=NODES)
    for number, failing in enumerate(steps.each(), 1):
        act = ready(models[0])
        with contextlib.suppress(FailureError), failing:
            act()
        differences = picture.differences()
        if differences:  # it got through, or failed when all had been done
            ready(twins[0])()
            check_alike(models, twins, f"{steps.place} left: {differences[:5]}")
            models, twins = (make(), make()) if steps.place else (models, twins)
            picture = Picture(*models, without=NODES)
        elif number % 40 == 4:
            check_alike(models, twins, str(steps.place))
            picture = Picture(*models, without=NODES)
    assert number > 5
    assert differences
    models[0].fit(X, Y, verbose=0)


def same(make):
    """Returns the function that makes the same each time."""

    def made():
        keras.backend.clear_session(free_memory=False)
        keras.utils.set_random_seed(5)
        return make()

    return made


class Cut:
    """Makes smaller models ready for a cut; anew if the model was trained, or the last one touched by what failed."""

    def __init__(self):
        self.made_for = None

    def __call__(self, model):
        made_for = model, model.weights[0].numpy().tobytes()
        if made_for != self.made_for or self.picture.differences():
            self.made_for, self.small = made_for, half(model)
            self.picture = Picture(self.small[0], without=NODES)
        return lambda: adopt(model, *self.small)


@each(11)
def test_a_cut_of_a_model_with_all_that_can_be_in_it(every):
    check_fails_whole(same(lambda: [functional()]), Cut(), Steps("keras_slim.pruning.adopt", most=1, every=every))


@each(7)
def test_a_cut_under_a_wrapped_optimizer(every):
    make = same(lambda: with_view(sequential("loss scaled")))
    check_fails_whole(make, Cut(), Steps("keras_slim.pruning.optimizer_state", most=1, every=every))


def test_a_cut_of_a_model_with_compiled_steps():
    """Which are the very same after a cut that has failed."""
    make = same(lambda: [sequential(run_eagerly=False, jit_compile=False)])
    check_fails_whole(make, Cut(), Steps("keras_slim.pruning.adopt", most=1, every=9))


def test_getting_ready_changes_nothing():
    """A cut is rehearsed before training, on the user's own model and optimizer."""
    model = sequential("own schedule")
    _, transfers = half(model)
    picture, steps = Picture(model), Steps("keras_slim.pruning.optimizer_state", most=1)
    for failing in steps.each():
        with contextlib.suppress(FailureError), failing:
            OptimizerCut(model.optimizer, transfers)
        assert not picture.differences(), steps.place


class Back:
    """Makes models that were trained, and maybe cut, since a snapshot, and brings that back."""

    def __init__(self, make, is_cut):
        self.make = make
        self.is_cut = is_cut
        self.snapshots = {}

    def made(self):
        models = self.make()
        self.snapshots[models[0]] = Snapshot(models[0])
        if self.is_cut:
            adopt(models[0], *half(models[0]))
        models[0].train_on_batch(X, Y)
        return models

    def __call__(self, model):
        return self.snapshots[model].restore


@each(3)
@pytest.mark.parametrize(("build", "is_cut"), [(functional, True), (sequential, False)], ids=["cut", "trained"])
def test_going_back(build, is_cut, every):
    back = Back(same(lambda: with_view(build())), is_cut)
    check_fails_whole(back.made, back, Steps("keras_slim.pruning.snapshot", most=2, every=every))


class Gated(keras.Model):
    """A model with what looking at data changes for a while: a function of one's own, states, weights."""

    def __init__(self):
        inputs = keras.Input((4,))
        tensor = layers.Dense(4, activation=lambda value: value * keras.ops.sigmoid(value))(inputs)
        tensor = layers.GRU(3, name="gru")(layers.Reshape((2, 2))(tensor))
        super().__init__(inputs, layers.Dense(2)(tensor))


@each(23)
def test_a_copy_that_is_not_finished(every):
    """`prune` is `shrink` of `plan_pruning`: all leave the model alone, whatever happens while it is looked at."""
    model = compiled(Gated(), "momentum")
    guards = slim.pruning.Guards(align=1, min_units=1)
    picture, steps = Picture(model), Steps(*LOOKING, most=1, every=every)
    for failing in steps.each():
        with contextlib.suppress(FailureError), failing:
            slim.prune(model, 0.3, data=(X, Y), criterion="oracle", guards=guards, verbose=0)
        assert picture.differences() == [], steps.place


def test_a_look_without_a_unit_that_fails():
    """The oracle silences each unit in the user's own model."""
    model = sequential()
    guards = slim.pruning.Guards(align=1, min_units=1)
    picture, steps = Picture(model), Steps("keras_slim.scoring.leave_one_out", most=1)
    for failing in steps.each():
        with contextlib.suppress(FailureError), failing:
            slim.plan_pruning(model, 0.3, data=(X, Y), criterion="oracle", guards=guards, verbose=0)
        assert picture.differences() == [], steps.place

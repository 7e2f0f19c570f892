"""Searching for the smallest network that holds a metric: when it cuts, goes back and stops, and what it leaves."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.callbacks.search import infer_mode
from keras_slim.errors import SlimWarning, UnreachableTargetError
from keras_slim.pruning.trajectory import Trajectory

OPTIMIZERS = {
    "SGD with momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "loss scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}


class Scripted(keras.callbacks.Callback):
    """Puts a metric of given values into the logs, for callbacks that come later in the list; `None` is left out."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        if self.values[epoch] is not None:
            logs["val_scripted"] = self.values[epoch]


@pytest.fixture
def search(prune):
    """Returns the function that makes the callback: from epoch 1 on a quarter of the units at a time, floor 0.8."""

    def search(**options):
        defaults = {"max_drop": 0.1, "monitor": "val_scripted", "mode": "max", "ratio_per_round": 0.25, "patience": 2}
        return prune(**{**defaults, "ratio": None, "window": (0, 0.99), **options})

    return search


@pytest.fixture
def run(x, y):
    """Returns the function that trains with scripted values of the metric, one per epoch, in one step each."""

    def run(model, ours, values, *others, **options):
        options = {"epochs": len(values), "verbose": 0, **options}
        return model.fit(batches(x, y), callbacks=[Scripted(values), ours, *others], **options).history

    return run


def units(model):
    return model.get_layer("first").units + model.get_layer("second").units


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        # Held at once, each time: the next cut follows.
        ([0.9, 0.9, 0.9, 0.9], {}, [32, 24, 18, 13]),
        # One epoch to come back: exactly the floor is enough.
        ([0.9, 0.5, 0.8, 0.5], {}, [32, 24, 24, 18]),
        # Two epochs are not enough: back, and no other share is left; training goes on.
        ([0.9, 0.9, 0.5, 0.5, 0.9, 0.9], {}, [32, 24, 18, 18, 24, 24]),
        # The first cut is too much.
        ([0.9, 0.5, 0.7, 0.9], {}, [32, 24, 24, 32]),
        # A smaller share is tried at once, and goes on as long as it can.
        ([0.9, 0.5, 0.5, 0.9, 0.9, 0.9], {"ratio_per_round": (0.25, 0.125)}, [32, 24, 24, 28, 24, 21]),
        ([0.9, 0.5, 0.9, 0.9], {"ratio_per_round": (0.25, 0.125), "patience": 1}, [32, 24, 28, 24]),
        # A smaller share that rounds to what has just failed is passed over: the next one is tried, or it ends.
        ([0.9, 0.5, 0.9, 0.9], {"ratio_per_round": (0.25, 0.24, 0.125), "patience": 1}, [32, 24, 28, 24]),
        ([0.9, 0.5, 0.9, 0.9], {"ratio_per_round": (0.25, 0.24), "patience": 1}, [32, 24, 32, 32]),
        # Not so from a network that has come further: what failed at once may hold in two steps.
        ([0.9, 0.5, 0.9, 0.9], {"ratio_per_round": (0.25, 0.15), "patience": 1}, [32, 24, 27, 22]),
        # The dense network is that of the last epoch before the window, however good it was before.
        ([0.95, 0.9, 0.8, 0.8], {"window": (0.5, 0.99)}, [32, 32, 24, 18]),
        # No cut is begun after the window.
        ([0.9, 0.9, 0.9, 0.9], {"window": (0, 0.5)}, [32, 24, 18, 18]),
        # A ratio ends the search, and is not exceeded.
        ([0.9, 0.9, 0.9, 0.9, 0.9], {"ratio": 0.5}, [32, 24, 18, 16, 16]),
        # The guards allow no more.
        ([0.9] * 5, {"guards": slim.pruning.Guards(min_units=10, align=1)}, [32, 24, 20, 20, 20]),
        # A metric that is no number is never good.
        ([0.9, math.nan, math.nan, 0.9], {}, [32, 24, 24, 32]),
        # A dense network is compared with when there is something to compare with.
        ([math.nan, 0.9, 0.9], {}, [32, 32, 24]),
        # Lower is better.
        ([0.5, 0.6, 0.61, 0.62, 0.5], {"mode": "min"}, [32, 24, 18, 18, 24]),
    ],
)
def test_when_it_cuts_and_goes_back(build, search, run, values, options, expected):
    assert run(build(), search(**options), values)["units"] == expected


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ([0.9, 0.9, 0.9], 18),  # the last network holds
        ([0.9, 0.9, 0.5], 24),  # it does not, and there is no time left for it to come back
        ([0.9, 0.5], 32),  # nor does the first
        ([0.9, 0.9, 0.5, 0.5, 0.5], 24),  # given up before, and worse since
    ],
)
def test_what_is_left_holds(build, search, run, values, left):
    model, ours = build(), search()
    run(model, ours, values)
    assert units(model) == left == ours.trajectory.last_held.cost.units
    assert model.count_params() == ours.trajectory.last_held.cost.params


def state(model):
    """Weights and the optimizer's slots, but not its clock."""
    values = [*model.variables, *model.optimizer.variables]
    clock = {"iteration", "iterations", "learning_rate"}
    return [value.numpy().copy() for value in values if value.path.rpartition("/")[2] not in clock]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([0.9, 0.9, 0.5, 0.5, 0.9], "Adam"),
        ([0.9, 0.5, 0.5, 0.9], "SGD with momentum"),
        ([0.9, 0.9, 0.5, 0.5, 0.9], "loss scaled"),
    ],
    ids=["pruned Adam", "dense momentum", "pruned loss scaled"],
)
def test_going_back_restores_all_of_it(build, search, run, watch, x, values, name):
    """Looked at before the cut that is taken back, and after it has been."""
    model, optimizer = build(OPTIMIZERS[name]()), None
    seen = watch(lambda model: ([*model.layers], state(model), model(x).numpy()))
    optimizer = model.optimizer
    ours = search()
    model.fit(  # `seen` comes first when an epoch begins, and is asked again before its first batch
        batches(x, np.ones((48, 2))), epochs=len(values), verbose=0, callbacks=[seen, Scripted(values), ours]
    )
    cut, back = len(values) - 3, len(values) - 1
    (layers, old, answers), (layers_again, new, answers_again) = seen.before[cut], seen.after[back]
    assert layers_again == layers
    assert model.optimizer is optimizer
    for before, after in zip(old, new, strict=True):
        np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(answers_again, answers)
    assert np.abs(seen.before[back][2] - answers).max() > 1e-3


def test_the_end_of_training_restores_the_last_weights_that_held(build, search, run, watch):
    """No cut after epoch 1; epoch 2 is the last that holds."""
    model, seen = build(keras.optimizers.SGD(0.01, momentum=0.9)), watch(state)
    run(model, search(window=(0, 0.2)), [0.9, 0.9, 0.9, 0.5, 0.5], seen)
    assert units(model) == 24
    for found, expected in zip(state(model), seen.at_end[2], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "behind ours"])
def test_averages_that_held_the_metric_are_what_is_left(build, search, x, y, watch, first):
    model, ours = build(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)), search()
    swap, seen = keras.callbacks.SwapEMAWeights(swap_on_epoch=True), watch(lambda model: model.get_weights())
    others = [swap, ours] if first else [ours, swap]
    model.fit(batches(x, y, 24), epochs=3, verbose=0, callbacks=[Scripted([0.9, 0.9, 0.5]), *others, seen])
    for old, new in zip(seen.at_end[1], model.get_weights(), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_losses_and_sizes_go_together_whatever_is_compiled(build, search, run, run_eagerly, x, y):
    """With a learning rate of zero, the loss of an epoch is that of the network it says it has."""
    model = build(keras.optimizers.SGD(0.0), run_eagerly=run_eagerly, jit_compile=False)
    model.get_layer("norm").momentum = 1.0
    history = run(model, search(), [0.9, 0.9, 0.5, 0.5, 0.9], validation_data=batches(x, y))
    assert history["units"] == [32, 24, 18, 18, 24]
    assert history["val_loss"][4] == history["val_loss"][1] != history["val_loss"][2]
    assert history["loss"][4] == pytest.approx(history["loss"][1], rel=1e-6)
    assert model.evaluate(batches(x, y), verbose=0) == history["val_loss"][4]


def test_rounds_and_trajectory_tell_what_happened(build, search, run):
    model, ours = build(), search()
    assert ours.trajectory is None
    run(model, ours, [0.95, 0.9, 0.85, 0.9, 0.5, 0.5, 0.9], keras.callbacks.Callback())
    assert [(each["epoch"], each["metric"], each["held"]) for each in ours.rounds_done] == [
        (1, 0.9, True),
        (2, 0.85, True),
        (3, 0.9, True),
        (4, 0.5, False),
    ]
    way = ours.trajectory
    assert (way.monitor, way.floor) == ("val_scripted", pytest.approx(0.85))
    assert [(each.epoch, each.metric, each.held) for each in way.points] == [
        (0, 0.95, True),
        (1, 0.9, True),
        (2, 0.85, True),
        (3, 0.9, True),
        (5, 0.5, False),
    ]
    assert [each.cost.units for each in way.points] == [32, 24, 18, 13, 9]
    assert all(sum(each.structure.values()) == each.cost.units for each in way.points)
    assert way.points[0].structure == {"first": 16, "second": 16}
    assert way.last_held.structure == {name: model.get_layer(name).units for name in ("first", "second")}
    assert Trajectory.from_json(way.to_json()) == way


def test_a_second_fit_starts_from_what_is_left(build, search, run):
    model, ours = build(), search()
    run(model, ours, [0.9, 0.9, 0.5])
    run(model, ours, [0.7, 0.7])
    assert units(model) == 18
    assert ours.trajectory.floor == pytest.approx(0.6)
    assert [each.cost.units for each in ours.trajectory.points] == [24, 18]


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "behind ours"])
def test_early_stopping_beside_it_keeps_to_the_network_that_is_left(build, search, x, y, first):
    """The best epoch is one of a network that was given up; its weights would not fit."""
    model, ours, values = build(), search(), [0.9, 0.9, 0.75, 0.7]
    stop = keras.callbacks.EarlyStopping("val_scripted", mode="max", patience=9, restore_best_weights=True)
    pair = [stop, ours] if first else [ours, stop]
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[Scripted(values), *pair])
    assert units(model) == 24
    model.fit(batches(x, y), verbose=0)


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "behind ours"])
@pytest.mark.parametrize(
    ("values", "losses", "left"),
    [
        # Epoch 1, by far the best for `EarlyStopping`, does not hold; of those that do, it chooses.
        ([0.9, 0.5, 0.9, 0.8, 0.9], [5, 0, 3, 1, 2], 3),
        ([0.9, 0.5, 0.9], [5, 0, 3], 2),
        # A second cut follows epoch 1, and `EarlyStopping` starts anew with it, and again with epoch 3.
        ([0.9, 0.9, 0.5, 0.8, 0.9], [0, 0, 1, 3, 2], 4),
    ],
)
def test_early_stopping_puts_no_weights_back_that_do_not_hold(build, search, watch, x, y, first, values, losses, left):
    """It looks at another metric, which may be best in an epoch in which that of the search has not come back."""
    model, ours, seen = build(), search(window=(0, 0.3)), watch(lambda model: model.get_weights())
    stop = keras.callbacks.EarlyStopping("loss", mode="min", patience=9, restore_best_weights=True)
    loss = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=losses[epoch]))
    pair = [stop, ours] if first else [ours, stop]
    model.fit(batches(x, y), epochs=len(values), verbose=0, callbacks=[Scripted(values), loss, *pair, seen])
    for found, expected in zip(model.get_weights(), seen.at_end[left], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("values", "left"), [([0.9, 0.9, 0.9, 0.9], 3), ([0.9, 0.9, 0.5, 0.5], 1)])
def test_averages_that_are_left_are_those_that_were_measured(build, search, x, y, values, left):
    model = build(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    callbacks = [keras.callbacks.SwapEMAWeights(), Scripted(values), search()]
    data = batches(x, y)
    history = model.fit(data, epochs=4, verbose=0, validation_data=data, callbacks=callbacks).history
    assert model.evaluate(data, verbose=0) == pytest.approx(history["val_loss"][left], rel=1e-6)


def test_averages_that_nobody_measures_are_warned_of(build, search, run):
    model = build(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, use_ema=True)))
    with pytest.warns(SlimWarning, match=r"averages \(`use_ema=True`\).*Put `keras.callbacks.SwapEMAWeights"):
        run(model, search(), [0.9, 0.9])


def test_a_checkpoint_after_going_back_is_of_the_network_that_is_left(build, search, run, x, tmp_path):
    model, path = build(), tmp_path / "best.keras"
    saved = keras.callbacks.ModelCheckpoint(path, "val_scripted", mode="max", save_best_only=True)
    run(model, search(), [0.9, 0.9, 0.75, 0.7, 0.85], saved)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_training_that_is_stopped_in_the_middle_of_a_round_goes_back(build, search, run):
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 2))
    model = build()
    run(model, search(), [0.9, 0.9, 0.5, 0.9, 0.9], stop)
    assert units(model) == 24


def test_a_search_that_never_began_says_so(build, search, run):
    model = build()
    with pytest.warns(SlimWarning, match="ended before the search .* began: nothing was cut"):
        run(model, search(), [0.9])
    assert units(model) == 32


def test_each_cut_and_each_return_is_one_line(build, search, run, capsys):
    run(build(), search(verbose=1), [0.9, 0.9, 0.5, 0.5, 0.9])
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert [line.split(":")[0] for line in lines[:2]] == ["Pruning round 1", "Pruning round 2"]
    assert lines[2].startswith("Pruning: val_scripted 0.5 does not hold 0.8, back to units 24, params ")


def test_the_search_holds_a_real_metric_on_data_it_is_not_trained_on(build, search, x, y):
    """Direction and name as Keras knows them; the floor is what was asked for."""
    model = build(keras.optimizers.SGD(0.05, momentum=0.9))
    ours = search(monitor="val_loss", mode="auto", max_drop=0.05)
    unseen = batches(x[32:], y[32:])
    history = model.fit(batches(x[:32], y[:32]), epochs=6, verbose=0, validation_data=unseen, callbacks=[ours]).history
    assert ours.trajectory.floor == pytest.approx(history["val_loss"][0] + 0.05)
    assert units(model) < 32
    assert model.evaluate(unseen, verbose=0) <= ours.trajectory.floor + 1e-5


@pytest.mark.parametrize(
    ("monitor", "expected"), [("val_loss", "min"), ("val_accuracy", "max"), ("loss", "min"), ("val_mae", "min")]
)
def test_the_better_direction_is_inferred(build, x, y, monitor, expected):
    model = build(metrics=["accuracy", "mae"])
    model.evaluate(batches(x, y), verbose=0)
    assert infer_mode(monitor, model, "prune") == expected
    assert not model.stop_training


def test_a_direction_that_cannot_be_inferred_is_asked_for(build, search, run):
    with pytest.raises(ValueError, match=r"`mode` of `ProgressiveGlobalPruning`.*which way 'val_scripted' is better"):
        run(build(), search(mode="auto"), [0.9, 0.9])


def test_a_missing_metric_is_refused_after_the_first_epoch(build, search, x, y):
    model = build()
    measured = r"\['loss', 'units', 'params', 'macs', 'weight_bytes'\]"
    message = rf"`monitor`.*{measured}.*monitor='val_accuracy'.*`validation_data` in `fit`"
    with pytest.raises(ValueError, match=message):
        model.fit(batches(x, y, 24), epochs=3, verbose=0, callbacks=[search(monitor="val_accuracy")])
    assert units(model) == 32
    assert model.optimizer.iterations == 2


@pytest.mark.filterwarnings("ignore:`ProgressiveGlobalPruning` waits for 'val_scripted'")
@pytest.mark.parametrize(
    ("values", "expected", "left"),
    [
        # It cuts after epochs that are validated.
        ([None, 0.9, None, 0.9, None, 0.9], [32, 32, 24, 24, 18, 18], 18),
        # Those alone count as epochs to come back.
        ([None, 0.9, None, 0.5, None, 0.8], [32, 32, 24, 24, 24, 24], 24),
        ([None, 0.9, None, 0.5, None, 0.5, None, 0.9], [32, 32, 24, 24, 24, 24, 32, 32], 32),
        # The dense network is that of an epoch that is validated.
        ([0.95, None, None, 0.9, None], [32, 32, 32, 32, 24], 32),
        # What nobody has validated is not left.
        ([None, 0.9, None, 0.9, None], [32, 32, 24, 24, 18], 24),
    ],
)
def test_it_waits_for_epochs_that_are_validated(build, search, run, values, expected, left):
    model, ours = build(), search(window=(2 / len(values), 0.99))
    assert run(model, ours, values)["units"] == expected
    assert units(model) == left == ours.trajectory.last_held.cost.units
    assert all(values[each.epoch] == each.metric for each in ours.trajectory.points)


def test_weights_that_nobody_has_validated_are_not_left(build, search, run, watch, capsys):
    """No cut after epoch 1; epoch 2 is the last that is validated."""
    model, seen = build(keras.optimizers.SGD(0.01, momentum=0.9)), watch(state)
    run(model, search(window=(0, 0.2), verbose=1), [0.9, 0.9, 0.9, None, None], seen)
    for found, expected in zip(state(model), seen.at_end[2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert "val_scripted was not measured in the last epoch, back to units 24" in capsys.readouterr().out


def test_validation_in_some_epochs_only(build, search, x, y):
    model, ours = build(), search(monitor="val_loss", mode="auto", max_drop=1e6, window=(0.5, 0.99))
    fit = {"validation_data": batches(x, y), "validation_freq": 2, "callbacks": [ours], "verbose": 0}
    with pytest.warns(SlimWarning, match=r"waits for 'val_loss', .* for 2 more epochs.*`validation_freq` above 1"):
        history = model.fit(batches(x, y), epochs=6, **fit).history
    assert history["units"] == [32, 32, 32, 32, 24, 24]
    assert [each.epoch for each in ours.trajectory.points] == [3, 5]


def test_a_search_that_begins_before_the_first_validation_is_told_so(build, search, x, y):
    ours = search(monitor="val_loss", mode="auto", window=(0, 0.99))
    with pytest.raises(ValueError, match=r"`monitor`.*monitor='val_loss'.*`validation_freq` above 1, .*`window`"):
        build().fit(batches(x, y, 24), epochs=6, verbose=0, validation_data=(x, y), validation_freq=2, callbacks=[ours])


def test_a_metric_that_validation_does_not_have_is_not_waited_for(build, search, x, y):
    ours = search(monitor="val_los", mode="min", window=(0.5, 0.99))
    with pytest.raises(ValueError, match=r"`monitor`.*'val_loss'.*monitor='val_los'"):
        build().fit(batches(x, y, 24), epochs=6, verbose=0, validation_data=(x, y), callbacks=[ours])


def test_nothing_to_prune_is_refused_before_training(search, x, y):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(UnreachableTargetError, match=r"`ratio_per_round`.*nothing in this model can be pruned"):
        model.fit(batches(x, y, 24), epochs=3, verbose=0, callbacks=[search()])


def test_a_ratio_that_the_guards_do_not_allow_is_refused(build, search, run):
    with pytest.raises(UnreachableTargetError, match=r"`ratio` of .*at most 0\.750 of the units.*ratio=0\.8"):
        run(build(), search(ratio=0.8), [0.9, 0.9])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_drop": None}, ValueError, r"`ratio`.*a share to remove, or `max_drop`"),
        ({"max_drop": -0.1}, ValueError, r"`max_drop`.*at least 0.*max_drop=-0\.1"),
        ({"max_drop": "1 %"}, TypeError, r"`max_drop`.*finite number"),
        ({"mode": "up"}, ValueError, r"`mode`.*one of 'auto', 'min', 'max'"),
        ({"monitor": None}, TypeError, r"`monitor`.*name of a metric, like 'val_accuracy'.*monitor=None"),
        ({"patience": 0}, ValueError, r"`patience`.*at least 1"),
        ({"ratio_per_round": 1.5}, ValueError, r"`ratio_per_round`.*share in \(0, 1\)"),
        ({"ratio_per_round": ()}, ValueError, r"`ratio_per_round`.*shares in falling order"),
        ({"ratio_per_round": (0.1, 0.2)}, ValueError, r"`ratio_per_round`.*shares in falling order"),
        ({"distillation": "dense"}, TypeError, r"`distillation`.*keras_slim\.distillation\.Distillation"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_when_the_callback_is_made(search, options, error, message):
    with pytest.raises(error, match=message):
        search(**options)


def test_a_metric_of_training_is_warned_of(search):
    with pytest.warns(SlimWarning, match=r"holds 'accuracy', which is not a metric of validation.*'val_accuracy'"):
        search(monitor="accuracy")


def test_a_trajectory_is_data(tmp_path):
    cost = slim.pruning.Cost(32, 420, None)
    point = slim.pruning.TrajectoryPoint(3, 0.91, True, cost, {"hidden": 32})
    way = Trajectory("val_accuracy", 0.9, (point, dataclasses.replace(point, epoch=5, metric=0.89, held=False)))
    assert Trajectory.from_json(way.to_json()) == way
    assert way.last_held == point
    assert way.describe().splitlines()[2] == "units 32, params 420: val_accuracy 0.89 in epoch 6, not held"
    for text in ("", "[]", '{"version": 1}', '{"version": 2, "monitor": "a", "floor": 1, "points": []}'):
        with pytest.raises(ValueError, match="not a trajectory of version 1"):
            Trajectory.from_json(text)

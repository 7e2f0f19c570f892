"""The rounds themselves: how much goes when, what is noted, what the guards hold, and what is refused beforehand."""

import itertools

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.errors import SlimWarning, UnreachableTargetError, UnsupportedLayerError

UNITS = 32  # of the model that `build` makes


def units(model):
    return model.get_layer("first").units + model.get_layer("second").units


def params(inputs, first, second, outputs):
    """Two dense layers with biases, a batch norm with four vectors behind the second, and a head."""
    return (inputs + 1) * first + (first + 1) * second + 4 * second + (second + 1) * outputs


def test_the_users_own_object_becomes_smaller_in_the_middle_of_fit(build, prune, watch, x, y):
    model = build()
    layers, seen = list(model.layers), watch(lambda model: (id(model), model.count_params(), units(model)))
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[seen, prune()])
    assert {found[0] for found in seen.before + seen.after} == {id(model)}
    counts = [found[1] for found in seen.after]
    assert counts[0] == params(4, 16, 16, 2) > counts[1] > counts[3]
    assert [found[2] for found in seen.after] == [32, 22, 22, 16]  # 32 * 0.5^(1/2) = 22.6, 32 * 0.5
    assert counts[-1] == params(4, model.get_layer("first").units, model.get_layer("second").units, 2)
    assert not set(map(id, layers)) & set(map(id, model.layers))
    assert [layer.name for layer in model.layers] == [layer.name for layer in layers]
    assert model.get_layer("first").kernel.shape == (4, model.get_layer("first").units)


def test_a_cut_keeps_the_rows_and_columns_of_the_kept_units(build, prune, watch, x, y):
    model, callback = build(), prune(rounds=1)
    seen = watch(lambda model: model.get_weights())
    model.fit(batches(x, y), epochs=2, verbose=0, callbacks=[seen, callback])
    first, second = (group.kept_channels for group in callback.rounds_done[0]["plan"].groups)
    old, new = seen.before[0], seen.after[0]
    assert len(first) + len(second) == 16
    np.testing.assert_array_equal(new[0], old[0][:, first])
    np.testing.assert_array_equal(new[2], old[2][np.ix_(first, second)])
    np.testing.assert_array_equal(new[6], old[6][list(second)])


@pytest.mark.parametrize("of", ["units", "params", "macs"])
def test_the_share_left_after_round_r_is_the_power_r_of_R(build, prune, x, y, of):
    model, callback = build(), prune(of=of, ratio=0.6, rounds=3, window=(0, 0.9))
    history = model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[callback]).history
    whole = {"units": UNITS, "params": params(4, 16, 16, 2), "macs": 4 * 16 + 16 * 16 + 16 * 2}[of]
    # What one unit is worth at most: rounding to whole units may overshoot by less than that.
    unit = {"units": 1, "params": 4 + 1 + 16 + 16 + 5 + 2, "macs": 4 + 16 + 16 + 2}[of]
    left = [done[of] for done in callback.rounds_done]
    for number, found in enumerate(left, start=1):
        target = whole * 0.4 ** (number / 3)
        assert target - 2 * unit < found <= target
    assert history[of][-1] == left[-1]


def test_history_has_the_cost_of_every_epoch(build, prune, watch, x, y):
    model = build()
    seen = watch(lambda model: (units(model), model.count_params()))
    history = model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(), seen]).history
    assert history["units"] == [found[0] for found in seen.at_end]
    assert history["params"] == [found[1] for found in seen.at_end]
    assert history["macs"][0] == 4 * 16 + 16 * 16 + 16 * 2
    assert len(history["loss"]) == len(history["macs"]) == 4


def test_rounds_done_tell_what_happened(build, prune, x, y):
    model, callback = build(), prune()
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[callback])
    assert [done["epoch"] for done in callback.rounds_done] == [1, 3]
    last = callback.rounds_done[-1]
    assert (last["units"], last["params"]) == (units(model), model.count_params())
    assert last["macs"] == slim.profile(model).macs
    assert last["seconds"] > 0
    assert last["plan"].after.units == units(model)
    assert callback.rounds_done[0]["plan"].before.units == UNITS


@pytest.mark.parametrize(
    ("window", "epochs", "rounds", "expected"),
    [
        ((0.25, 0.75), 8, 3, [2, 4, 6]),
        ((0, 0), 5, 1, [0]),
        ((0.0, 0.5), 4, 3, [0, 1, 2]),
        ([0.5, 0.99], 4, 1, [2]),
        ((0.25, 0.75), 1, 1, [0]),
        ((0.9, 0.95), 4, 1, [3]),
        ((0, 0.99), 3, 3, [0, 1, 2]),
    ],
)
def test_the_window_says_in_which_epochs_cuts_are_made(build, prune, x, y, window, epochs, rounds, expected):
    callback = prune(window=window, rounds=rounds, ratio=0.3)
    build().fit(batches(x, y), epochs=epochs, verbose=0, callbacks=[callback])
    assert [done["epoch"] for done in callback.rounds_done] == expected


def test_the_window_lies_in_the_epochs_that_are_trained(build, prune, x, y):
    """A `fit` that goes on from an earlier one begins at `initial_epoch`."""
    model, callback = build(), prune()
    model.fit(batches(x, y), epochs=14, initial_epoch=10, verbose=0, callbacks=[callback])
    assert [done["epoch"] for done in callback.rounds_done] == [11, 13]
    assert units(model) == 16


def test_a_second_fit_prunes_further(build, prune, x, y):
    model, callback = build(), prune()
    for expected in (16, 8):
        model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[callback])
        assert units(model) == expected
        assert len(callback.rounds_done) == 2


@pytest.mark.parametrize(
    "criterion", ["l1", "random", "taylor", "mean_activation", "apoz", lambda weights: np.abs(weights).max(axis=0)]
)
def test_any_criterion_will_do(build, prune, x, y, criterion):
    model = build()
    ours = prune(criterion=criterion, data=(x, y), rounds=1)
    model.fit(batches(x, y), epochs=2, verbose=0, callbacks=[ours])
    assert units(model) == 16


def test_a_debiasing_that_looks_at_data_will_do(build, prune, x, y):
    model, callback = build(), prune(debias="fitted", data=(x, y))
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[callback])
    assert callback.rounds_done[-1]["units"] == 16
    again = type(callback).from_config(callback.get_config())
    assert again.debias.get_config() == {"samples_per_layer": 4}


def test_the_units_with_the_lowest_scores_go(build, prune, x, y):
    """A user's function that counts: unit 0 scores lowest in each layer."""
    callback = prune(criterion=lambda weights: np.arange(weights.shape[1]), debias="rank", rounds=1)
    build().fit(batches(x, y), epochs=2, verbose=0, callbacks=[callback])
    for group in callback.rounds_done[0]["plan"].groups:
        assert group.kept_channels == tuple(range(8, 16))


def test_the_same_seed_gives_the_same_plan(build, prune, x, y):
    plans = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        callback = prune(criterion="taylor", data=(x, y))
        build().fit(batches(x, y), epochs=4, verbose=0, callbacks=[callback])
        plans.append([done["plan"] for done in callback.rounds_done])
    assert plans[0] == plans[1]


def test_ignored_layers_stay_whole(build, prune, x, y):
    model = build()
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(ignore=["second"])])
    assert (model.get_layer("first").units, model.get_layer("second").units) == (8, 16)


def test_guards_hold_in_every_round(build, prune, watch, x, y):
    """All of the lowest scores lie in one layer, which the guards keep from emptying."""
    guards = slim.pruning.Guards(min_units=3, max_ratio=0.75, max_ratio_per_round=0.25, align=1)
    callback = prune(guards=guards, rounds=4, ratio=0.35, debias="none", window=(0, 0.99))
    model, seen = build(), watch(lambda model: model.get_layer("first").units)
    model.get_layer("first").kernel.assign(np.full((4, 16), 1e-6))
    model.fit(batches(x, y), epochs=5, verbose=0, callbacks=[callback, seen])
    sizes = [16, *seen.after]
    for before, after in itertools.pairwise(sizes):
        assert after >= np.ceil(before * 0.75)
    assert sizes[-1] >= 4
    assert sizes[1] == 12


def test_widths_stay_aligned_in_every_round(prune, x, y):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(48, "relu", name="second")(keras.layers.Dense(16, "relu", name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    model.compile("sgd", "mse", run_eagerly=True)
    model.get_layer("first").kernel.assign(np.full((4, 16), 1e-6))  # all of `first` would go first
    callback = prune(guards=slim.pruning.Guards(), rounds=4, debias="none", window=(0, 0.99))
    model.fit(batches(x, y), epochs=5, verbose=0, callbacks=[callback])
    widths = [[len(group.kept_channels) for group in done["plan"].groups] for done in callback.rounds_done]
    assert all(width % 8 == 0 for pair in widths for width in pair), widths
    assert sum(widths[-1]) == 32


def test_one_line_per_round_is_printed(build, prune, x, y, capsys):
    build().fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(verbose=1)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert [line.split(":")[0] for line in lines] == ["Pruning round 1/2", "Pruning round 2/2"]
    assert "units 22 -> 16" in lines[1]


def test_silence_is_silence(build, prune, x, y, capsys):
    build().fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(verbose=0)])
    assert capsys.readouterr() == ("", "")


def test_training_that_ends_early_is_told_that_the_ratio_was_not_reached(build, prune, x, y):
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))
    model, callback = build(), prune()
    with pytest.warns(SlimWarning, match="ended after 1 of 2 rounds of pruning: the ratio was not reached"):
        model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[callback, stop])
    assert units(model) == 22


def test_a_last_round_that_falls_short_says_what_was_reached(build, prune, x, y):
    """Each round may halve a layer: 16 units go to 8, 4, 2, or, if the cut before was gentler, from 9 to 5 to 3."""
    guards = slim.pruning.Guards(min_units=1, max_ratio_per_round=0.5, max_ratio=1.0, align=1)
    model, callback = build(), prune(ratio=0.85, rounds=3, debias="none", guards=guards, window=(0, 0.9))
    model.get_layer("first").kernel.assign(np.full((4, 16), 1e-6))
    with pytest.warns(SlimWarning, match=r"reached 0\.844 of the units instead of 0\.85.*rounds, or loosen the guards"):
        model.fit(batches(x, y), epochs=3, verbose=0, callbacks=[callback])
    assert units(model) == 5


def refused(model, callback, error, message, x, y, **options):
    """Asserts that `fit` refuses before it trains, and that the model is as it was."""
    weights, layers = model.get_weights() if model.built else None, list(model.layers)
    with pytest.raises(error, match=message):
        model.fit(x, y, **{"epochs": 4, "verbose": 0, "callbacks": [callback], **options})
    assert model.layers == layers
    if weights is not None:
        for old, new in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)
        assert model.optimizer.iterations == 0


def test_rounds_that_do_not_fit_are_refused(build, prune, x, y):
    message = (
        r"`rounds`.*at most one round per epoch in the window \(0.25, 0.75\) of the 4 epochs.*rounds=5.*more epochs"
    )
    refused(build(), prune(rounds=5), ValueError, message, x, y)


def test_an_unreachable_ratio_is_refused_with_what_is_possible(build, prune, x, y):
    # 0.1 of 16 units is 2, but at least four stay: 24 of 32 go at most.
    guards = slim.pruning.Guards(align=1, max_ratio_per_round=0.9)
    message = (
        r"`ratio` of `ProgressiveGlobalPruning`\. Expected at most 0\.750 of the units.*ratio=0\.8.*loosen the guards"
    )
    refused(build(), prune(ratio=0.8, guards=guards), UnreachableTargetError, message, x, y)


def test_too_few_rounds_for_the_guards_are_refused(build, prune, x, y):
    message = r"at most 0\.500 of the units.*max_ratio_per_round=0\.5"
    callback = prune(ratio=0.7, rounds=1)
    refused(build(), callback, UnreachableTargetError, message, x, y)


def test_a_model_with_nothing_to_prune_is_refused(prune, x, y):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    refused(model, prune(), UnreachableTargetError, "nothing in this model can be pruned", x, y)


def test_missing_data_is_refused(build, prune, x, y):
    message = r"`data` of `ProgressiveGlobalPruning`\. Expected inputs and targets, `data=\(x, y\)`"
    refused(build(), prune(criterion="taylor"), ValueError, message, x, y)
    refused(build(), prune(criterion="taylor", data=x), ValueError, "targets too", x, y)
    refused(build(), prune(criterion="apoz", data=x[:, :3]), ValueError, r"batches of shape \[\(None, 4\)\]", x, y)
    generator = iter([(x, y)])
    refused(build(), prune(criterion="taylor", data=generator), ValueError, "`steps`", x, y)
    refused(build(), prune(criterion="l2", debias="fitted"), ValueError, "for this criterion or de-biasing", x, y)


def test_a_criterion_that_does_not_suit_the_model_is_refused_before_training(build, prune, x, y):
    """Layer `first` has no batch norm behind it."""
    refused(build(), prune(criterion="bn_scale"), ValueError, "none behind: first", x, y)


def test_ignoring_an_unknown_layer_is_refused(build, prune, x, y):
    refused(build(), prune(ignore=["third"]), ValueError, r"`ignore`.*'third'.*Layers:.*first", x, y)


def test_a_subclassed_model_is_refused(prune, x, y):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(UnsupportedLayerError, match=r"class `Own` decides in its own code.*keras\.Model\(inputs"):
        model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune()])


def test_a_model_without_input_shape_is_told_to_be_built(prune, x, y):
    model = keras.Sequential([keras.layers.Dense(16, "relu", name="hidden"), keras.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    message = r"is not built.*Start it with a `keras\.Input\(shape\)`, or call `model\.build"
    refused(model, prune(), ValueError, message, x, y)


def test_inputs_of_unknown_size_can_be_pruned_by_units_and_not_by_work(prune):
    def build():
        inputs = keras.Input((None, None, 1))
        features = keras.layers.Conv2D(8, 1, activation="relu", name="conv")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(features)))
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    x, y, model = np.ones((8, 3, 3, 1), "float32"), np.ones((8, 1), "float32"), build()
    history = model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(verbose=1)]).history
    assert history["units"] == [8, 5, 5, 4]
    assert "macs" not in history
    refused(build(), prune(of="macs"), ValueError, "macs are not known.*unknown size", x, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ratio": 0}, ValueError, r"`ratio` of `ProgressiveGlobalPruning`\. Expected a share in \(0, 1\).*ratio=0"),
        ({"ratio": 1.0}, ValueError, r"`ratio`.*share in \(0, 1\)"),
        ({"ratio": 60}, ValueError, r"`ratio`.*For 60 per cent, give 0\.6"),
        ({"ratio": "half"}, TypeError, r"`ratio`.*ratio='half'"),
        ({"ratio": float("nan")}, ValueError, r"`ratio`.*nan"),
        ({"of": "flops"}, ValueError, r"`of`.*one of 'bytes', 'latency', 'macs', 'params', 'units'.*of='flops'"),
        ({"criterion": "taylr"}, ValueError, r"`criterion`.*Did you mean 'taylor'\?"),
        ({"debias": "zscore"}, ValueError, r"`debias`.*Did you mean 'z_score'\?"),
        ({"rounds": 0}, ValueError, r"`rounds`.*integer of at least 1.*rounds=0"),
        ({"rounds": 2.5}, TypeError, r"`rounds`.*integer of at least 1"),
        ({"steps": 0}, ValueError, r"`steps`.*integer of at least 1"),
        ({"window": 0.5}, ValueError, r"`window`.*two shares of the epochs.*window=0\.5"),
        ({"window": (0.8, 0.2)}, ValueError, r"`window`.*begin <= end"),
        ({"window": (0.2, 1.0)}, ValueError, r"`window`.*end < 1"),
        ({"window": ("a", "b")}, ValueError, r"`window`.*two shares"),
        ({"guards": {"align": 8}}, TypeError, r"`guards`.*keras_slim\.pruning\.Guards"),
        ({"ignore": "first"}, TypeError, r"`ignore`.*list of names.*ignore='first'.*\['first'\]"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_when_the_callback_is_made(prune, options, error, message):
    with pytest.raises(error, match=message):
        prune(**options)

"""Tickets of whole units: what is left is a slice of the first network, and trains."""

import json

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.callbacks import StructuredLotteryTicket
from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.pruning import Guards, subject

RNG = np.random.default_rng(4)
X = RNG.normal(size=(48, 6)).astype("float32")
Y = np.tanh(X @ RNG.normal(size=(6, 2))).astype("float32")
DATA = batches(X, Y, 16)


def build(optimizer=None, **options):
    keras.utils.set_random_seed(7)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(20, name="first")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.Dense(20, "relu", name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x), name="net")
    optimizer = optimizer or keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.2, 3, 0.5), 0.9)
    model.compile(optimizer, "mse", **{"run_eagerly": True, **options})
    return model


def fit(model, *callbacks, epochs=6, **options):
    return model.fit(DATA, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)


def lottery(rounds=2, ratio=0.25, **options):
    return StructuredLotteryTicket(rounds, ratio, **{"verbose": 0, "guards": Guards(min_units=1, align=1), **options})


def state_of(model):
    return {variable.path: variable.numpy().copy() for variable in (*model.weights, *model.optimizer.variables)}


class Watch(keras.callbacks.Callback):
    """Notes the state and a copy of the model before the first step of each epoch, and the state after every step."""

    def __init__(self):
        super().__init__()
        self.before, self.after, self.models = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.before.append(state_of(self.model))
            copy = keras.models.clone_model(self.model)
            copy.set_weights(self.model.get_weights())
            self.models.append(copy)

    def on_train_batch_end(self, batch, logs=None):
        self.after.append(state_of(self.model))


def slices(state, first, second):
    """The weights of a network in which only some units of both layers are left, by plain indexing."""
    norm = {
        f"norm/{name}": state[f"norm/{name}"][first] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    return norm | {
        "first/kernel": state["first/kernel"][:, first],
        "first/bias": state["first/bias"][first],
        "second/kernel": state["second/kernel"][np.ix_(first, second)],
        "second/bias": state["second/bias"][second],
        "head/kernel": state["head/kernel"][second],
        "head/bias": state["head/bias"],
    }


def kept(plan):
    return [list(group.kept_channels) for group in plan.groups]


@pytest.mark.parametrize("rewind_to", [0, 2])
def test_what_is_left_is_a_slice_of_the_first_weights(rewind_to):
    model, ours, watch = build(), lottery(rewind_to=rewind_to), Watch()
    fit(model, ours, watch)
    first, second = np.arange(20), np.arange(20)
    moment = watch.after[rewind_to - 1] if rewind_to else watch.before[0]
    for number, epoch in ((1, 2), (2, 4)):
        mine, theirs = kept(ours.rounds_done[number]["plan"])
        first, second = first[mine], second[theirs]
        for path, value in slices(moment, first, second).items():
            np.testing.assert_array_equal(watch.before[epoch][path], value, err_msg=path)


def test_the_state_of_the_optimizer_begins_anew():
    model, ours, watch = build(keras.optimizers.Adam(0.01)), lottery(rounds=1), Watch()
    fit(model, ours, watch, epochs=2)
    now = watch.before[1]
    slots = {path: value for path, value in now.items() if path.startswith("adam/")}
    assert slots["adam/iteration"] == 0
    assert slots["adam/learning_rate"] == np.float32(0.01)
    moments = [value for path, value in slots.items() if path.split("/")[1] not in ("iteration", "learning_rate")]
    assert len(moments) == 16
    assert not any(value.any() for value in moments)
    assert int(model.optimizer.iterations) == 3


def test_the_masked_first_network_answers_like_the_ticket():
    model, ours, watch = build(), lottery(rounds=1), Watch()
    fit(model, ours, watch, epochs=2)
    masked = slim.mask(watch.models[0], ours.rounds_done[1]["plan"])
    np.testing.assert_allclose(watch.models[1](X), masked(X), atol=1e-6)
    np.testing.assert_array_equal(ours.ticket(X), watch.models[1](X))


def test_the_units_that_contribute_least_after_training_go():
    model, ours = build(), lottery(rounds=1)
    trained = build()
    fit(trained, epochs=1)
    fit(model, ours, epochs=2)
    plan = slim.plan_pruning(trained, 0.25, guards=Guards(min_units=1, align=1))
    assert kept(ours.rounds_done[1]["plan"]) == kept(plan)


def test_units_are_counted_exactly():
    ours = lottery(rounds=2)
    history = fit(build(), ours).history
    assert [each["units"] for each in ours.rounds_done] == [40, 30, 22]  # 30 - round(7.5) = 30 - 8
    assert [each["density"] for each in ours.rounds_done] == [1, 0.75, 0.55]
    assert history["units"] == [40, 40, 30, 30, 22, 22]
    assert ours.rounds_done[2]["params"] == ours.ticket.count_params()


def test_the_model_object_stays_and_trains():
    model, ours = build(run_eagerly=False, jit_compile=False, steps_per_execution=2), lottery(rounds=1)
    optimizer = model.optimizer
    fit(model, ours)
    assert model.optimizer is optimizer
    assert model.get_layer("first").units + model.get_layer("second").units == 30
    start = ours.ticket
    start.compile(loss="mse")
    assert model.evaluate(X, Y, verbose=0) < start.evaluate(X, Y, verbose=0)
    fit(model, epochs=1)


def test_the_ticket_trained_alone_ends_as_the_last_stretch_did():
    model, ours = build(), lottery()
    fit(model, ours)
    again = ours.ticket
    again.compile(build().optimizer, "mse", run_eagerly=True)
    fit(again, epochs=2)
    for mine, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_scores_can_look_at_data():
    ours = lottery(rounds=1, criterion="taylor", data=(X, Y))
    fit(build(), ours, epochs=2)
    assert ours.rounds_done[1]["units"] == 30
    with pytest.raises(ValueError, match="data"):
        fit(build(), lottery(rounds=1, criterion="taylor"), epochs=2)


def test_guards_that_allow_no_more_are_warned_of():
    ours = lottery(rounds=1, ratio=0.9, guards=Guards(min_units=8, max_ratio_per_round=1.0, align=1))
    with pytest.warns(SlimWarning, match="left 16 of 40 units instead of 4"):
        fit(build(), ours, epochs=2)


def test_a_cut_that_fails_leaves_the_trained_network(monkeypatch):
    model, twin = build(), build()

    def broken(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(subject, "adopt", broken)
    with pytest.raises(KeyboardInterrupt):
        fit(model, lottery(rounds=1), epochs=2)
    fit(twin, epochs=1)
    for mine, theirs in zip(state_of(model).values(), state_of(twin).values(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_callback_serves_two_fits():
    ours, found = lottery(rounds=1), []
    for _ in range(2):
        model = build()
        fit(model, ours, epochs=2)
        found.append((model.get_weights(), ours.rounds_done))
    assert found[0][1] == found[1][1]
    for mine, theirs in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_is_left_is_plain_keras(tmp_path):
    model = build()
    fit(model, epochs=1)
    attributes = set(vars(model))
    fit(model, lottery(rounds=1), epochs=2)
    assert set(vars(model)) <= attributes
    assert "keras_slim" not in model.to_json()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(X), model(X))


def test_other_callbacks_start_anew_with_each_stretch():
    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["scripted"] = [5, 0, 7, 6, 8, 9][epoch]

    stop = keras.callbacks.EarlyStopping("scripted", mode="min", patience=2, restore_best_weights=True)
    assert fit(build(), Scripted(), stop, lottery()).epoch == [0, 1, 2, 3, 4, 5]
    assert stop.best == 8


def test_config_survives_json():
    ours = lottery(3, 0.1, criterion="l1", debias="rms", ignore=["head"], rewind_to=2)
    config = json.loads(json.dumps(ours.get_config()))
    again = StructuredLotteryTicket.from_config(config)
    assert again.get_config() == ours.get_config()
    assert again.guards == Guards(min_units=1, align=1)


def test_what_cannot_be_done_is_refused_before_training():
    model = build()
    with pytest.raises(ValueError, match=r"divides the 5 epochs of `fit`.*`StructuredLotteryTicket`|rounds"):
        fit(model, lottery(), epochs=5)
    with pytest.raises(ValueError, match="rewind_to=7"):
        fit(model, lottery(rewind_to=7))
    with pytest.raises(UnsupportedLayerError, match="finds nothing to remove in model 'net'"):
        fit(model, lottery(ignore=["first", "second"]))
    with pytest.raises(ValueError, match="ratio"):
        lottery(ratio=1.5)


def test_training_that_stops_early_is_warned_of():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    with pytest.warns(SlimWarning, match="after 0 of 2 rounds"):
        fit(build(), lottery(), Stop())
    assert lottery().ticket is None


def test_it_says_what_it_does(capsys):
    fit(build(), lottery(rounds=1, verbose=1), epochs=2)
    said = capsys.readouterr().out
    assert said.startswith("\nEpoch 2: round 1 of 1, ")
    assert said.endswith(", back to the initial weights\n")


def test_functions_that_nobody_knows_are_tried_on_the_data():
    def own(x):
        """Mixes the channels only where all numbers lie between 2 and 3, as those of the model do."""
        return keras.ops.where(keras.ops.all((x > 2) & (x < 3)), keras.ops.softmax(x), keras.ops.relu(x))

    small, middle = keras.initializers.RandomUniform(-0.01, 0.01), keras.initializers.Constant(2.5)
    hidden = keras.layers.Dense(8, own, kernel_initializer=small, bias_initializer=middle)
    model = keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(UnsupportedLayerError, match="finds nothing to remove"):
        fit(model, lottery(rounds=1, data=(X, Y)), epochs=2)

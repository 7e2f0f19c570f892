"""Tickets found in one `fit`: counts, rewinding, controls, and a `fit` that was killed."""

import json

import keras
import numpy as np
import pytest
from batching import batches
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.callbacks import LotteryTicket
from keras_slim.errors import PlanMismatchError, SlimWarning
from keras_slim.sparsity import Masks, Ticket, kernels

RNG = np.random.default_rng(4)
X = RNG.normal(size=(48, 6)).astype("float32")
Y = np.tanh(X @ RNG.normal(size=(6, 2))).astype("float32")
BATCH = 16  # three steps an epoch
DATA = batches(X, Y, BATCH)
FIRST, HEAD = "net/first/kernel", "net/head/kernel"


def build(optimizer=None, **options):
    """Steps are eager here, which is faster for so few, where a test does not ask for compiled ones."""
    keras.utils.set_random_seed(7)
    layers = [
        keras.Input((6,)),
        keras.layers.Dense(10, name="first"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Dense(2, name="head"),
    ]
    model = keras.Sequential(layers, name="net")
    optimizer = optimizer or keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.2, 3, 0.5), 0.9)
    model.compile(optimizer, "mse", metrics=["mae"], **{"run_eagerly": True, **options})
    return model


def fit(model, *callbacks, epochs=6, **options):
    return model.fit(DATA, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)


def lottery(rounds=2, ratio=0.2, **options):
    return LotteryTicket(rounds, ratio, **{"verbose": 0, **options})


def state_of(model):
    return [value.numpy().copy() for value in (*model.weights, *model.optimizer.variables)]


def assert_same(one, two):
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, theirs)


class Watch(keras.callbacks.Callback):
    """Notes the state before the first step of each epoch, and after every step."""

    def __init__(self):
        super().__init__()
        self.before, self.after = [], []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.before.append(state_of(self.model))

    def on_train_batch_end(self, batch, logs=None):
        self.after.append(state_of(self.model))


def expected_state(model, state, masks):
    """A state with the zeros of masks in the kernels; slots stay as they are."""
    paths = [weight.path for weight in model.weights]
    weights = [value * masks[path] if path in masks else value for path, value in zip(paths, state, strict=False)]
    return [*weights, *state[len(paths) :]]


def test_each_round_removes_the_exact_share_of_what_is_left():
    model, ours = build(), lottery(rounds=3)
    fit(model, ours, epochs=4)
    # 60 - 12 = 48, 48 - round(9.6) = 38, 38 - round(7.6) = 30; 20 - 4 = 16, 16 - 3 = 13, 13 - round(2.6) = 10
    counts = [{path: int(mask.sum()) for path, mask in ticket.masks.items()} for ticket in ours.tickets]
    assert counts == [{FIRST: 60, HEAD: 20}, {FIRST: 48, HEAD: 16}, {FIRST: 38, HEAD: 13}, {FIRST: 30, HEAD: 10}]
    assert [each["kept"] for each in ours.rounds_done] == [80, 64, 51, 40]
    assert [each["density"] for each in ours.rounds_done] == pytest.approx([1, 64 / 80, 51 / 80, 40 / 80])
    assert Masks.nonzero(model) == ours.ticket.masks


def test_layers_can_have_shares_of_their_own():
    ours = lottery(rounds=2, ratio={"first": 0.5, "head": 0.1})
    fit(build(), ours, epochs=3)
    assert [int(ours.ticket.masks[path].sum()) for path in (FIRST, HEAD)] == [15, 16]  # 20 - 2 - round(1.8)
    ours = lottery(rounds=1, ratio={"first": 0.5})
    fit(build(), ours, epochs=2)
    assert list(ours.ticket.masks) == [FIRST]


def test_all_layers_can_be_ranked_together():
    """What goes is smaller than what stays, whatever the layer."""
    model, ours, watch = build(), lottery(rounds=1, ratio=0.25, scope="global"), Watch()
    fit(model, ours, watch, epochs=2)
    trained = dict(zip([weight.path for weight in model.weights], watch.after[2], strict=False))
    sizes = np.concatenate([np.abs(trained[path]).ravel() for path in (FIRST, HEAD)])
    kept = np.concatenate([ours.ticket.masks[path].ravel() for path in (FIRST, HEAD)])
    assert kept.sum() == 60
    assert sizes[~kept].max() < sizes[kept].min()


def test_the_smallest_trained_weights_go():
    model, ours, watch = build(), lottery(rounds=2), Watch()
    fit(model, ours, watch, epochs=3)
    places = {path: [weight.path for weight in model.weights].index(path) for path in (FIRST, HEAD)}
    for number in (1, 2):
        trained, masks, before = watch.after[3 * number - 1], ours.tickets[number].masks, ours.tickets[number - 1].masks
        for path, place in places.items():
            gone, size = before[path] & ~masks[path], np.abs(trained[place])
            assert size[gone].max() <= size[masks[path]].min()
            assert not (masks[path] & ~before[path]).any()


def test_all_that_is_left_goes_back_to_its_first_value_bit_for_bit():
    model, ours, watch = build(), lottery(), Watch()
    fit(model, ours, watch)
    first = watch.before[0]
    for number, epoch in ((1, 2), (2, 4)):
        assert_same(watch.before[epoch], expected_state(model, first, ours.tickets[number].masks))
        assert any((now != then).any() for now, then in zip(watch.before[epoch + 1], first, strict=True))


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_it_goes_back_to_an_early_step(step):
    model, ours, watch = build(), lottery(rewind_to=step), Watch()
    fit(model, ours, watch)
    assert_same(watch.before[2], expected_state(model, watch.after[step - 1], ours.tickets[1].masks))
    assert_same(watch.before[4], expected_state(model, watch.after[step - 1], ours.tickets[2].masks))
    np.testing.assert_array_equal(ours.ticket.weights["net/norm/moving_mean"], watch.after[step - 1][4])


def test_a_step_is_a_batch_whatever_the_optimizer_makes_of_it():
    """Of the first stretch of three batches, the optimizer makes one step."""
    model, ours, watch = (
        build(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)),
        lottery(1, rewind_to=3),
        Watch(),
    )
    fit(model, ours, watch, epochs=2)
    assert_same(watch.before[1], expected_state(model, watch.after[2], ours.ticket.masks))


def test_with_several_steps_in_one_execution_it_is_the_next_that_is_seen():
    model, ours, watch = (
        build(steps_per_execution=2, run_eagerly=False, jit_compile=False),
        lottery(rewind_to=4),
        Watch(),
    )
    fit(model, ours, watch)
    assert len(watch.after) == 12
    assert_same(watch.before[2], expected_state(model, watch.after[2], ours.tickets[1].masks))  # after step 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.01, use_ema=True),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9)),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
    ],
    ids=["averages", "loss scaling", "accumulated gradients"],
)
def test_every_state_of_an_optimizer_goes_back(make):
    model, ours, watch = build(make()), lottery(rounds=1), Watch()
    fit(model, ours, watch, epochs=2)
    assert_same(watch.before[1], expected_state(model, watch.before[0], ours.ticket.masks))
    assert all((weight.numpy()[~ours.ticket.masks[path]] == 0).all() for path, weight in kernels(model).items())


def test_metrics_of_each_stretch_are_kept():
    ours = lottery()
    history = fit(build(), ours, validation_data=DATA).history
    assert [(each["round"], each["epoch"]) for each in ours.rounds_done] == [(0, 0), (1, 2), (2, 4)]
    for number, each in enumerate(ours.rounds_done):
        for name in ("loss", "mae", "val_loss", "val_mae"):
            assert each["history"][name] == history[name][2 * number : 2 * number + 2]
            assert each["logs"][name] == history[name][2 * number + 1]
    assert history["sparsity"] == pytest.approx([0, 0, 16 / 80, 16 / 80, 29 / 80, 29 / 80])


def test_the_ticket_trained_alone_ends_as_the_last_stretch_did():
    model, ours = build(), lottery()
    fit(model, ours)
    again = build()
    ours.ticket.apply(again)
    fit(again, slim.callbacks.HoldMasks(ours.ticket.masks), epochs=2)
    assert_same(state_of(again), state_of(model))


def test_several_fits_find_what_one_finds():
    one, ours = build(), lottery(rounds=2)
    fit(one, ours)
    first = lottery(rounds=1)
    fit(build(), first, epochs=4)
    two, second = build(), lottery(rounds=1, ticket=first.ticket)
    two.set_weights([value + 1 for value in two.get_weights()])  # the ticket sets them
    fit(two, second, epochs=4)
    assert second.tickets[0].masks == first.ticket.masks
    assert second.ticket.masks == ours.ticket.masks
    assert_same(state_of(two), state_of(one))


def test_a_ticket_of_a_layer_that_is_not_pruned_further_stays_sparse():
    first = lottery(rounds=1, ratio=0.5)
    fit(build(), first, epochs=2)
    second = lottery(rounds=1, ratio={"head": 0.5}, ticket=first.ticket)
    fit(build(), second, epochs=2)
    np.testing.assert_array_equal(second.ticket.masks[FIRST], first.ticket.masks[FIRST])
    assert second.ticket.masks[HEAD].sum() == 5


def test_random_reinit_goes_back_to_new_values_each_round():
    model, ours, watch = build(), lottery(control="random_reinit", seed=3), Watch()
    fit(model, ours, watch)
    place = [weight.path for weight in model.weights].index(FIRST)
    starts = [watch.before[epoch][place] for epoch in (0, 2, 4)]
    for number, ticket in enumerate(ours.tickets):
        np.testing.assert_array_equal(starts[number], ticket.weights[FIRST] * ticket.masks[FIRST])
    for one, two in ((0, 1), (1, 2)):
        both = (starts[one] != 0) & (starts[two] != 0)
        assert both.any()
        assert (starts[one] != starts[two])[both].all()
    weights = len(model.weights)
    assert_same(watch.before[2][weights:], watch.before[0][weights:])  # the optimizer's state
    other = lottery(control="random_reinit", seed=4)
    fit(build(), other, epochs=3)
    assert (other.ticket.weights[FIRST] != ours.ticket.weights[FIRST]).all()


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_random_mask_keeps_as_many_at_random(scope):
    """The weights are the first ones, and each mask lies within the one before."""
    true, ours, other = (
        lottery(scope=scope, **options) for options in ({}, {"control": "random_mask"}, {"control": "random_mask"})
    )
    other.seed = 5
    for each in (true, ours, other):
        fit(build(), each, epochs=3)
    kept = [[each["kept"] for each in one.rounds_done] for one in (true, ours, other)]
    assert kept[0] == kept[1] == kept[2]
    first = [{path: mask.sum() for path, mask in one.tickets[1].masks.items()} for one in (true, ours)]
    assert first[0] == first[1]
    assert ours.ticket.masks != true.ticket.masks
    assert ours.ticket.masks != other.ticket.masks
    for path, mask in ours.ticket.masks.items():
        assert not (mask & ~ours.tickets[1].masks[path]).any()
        np.testing.assert_array_equal(ours.ticket.weights[path], true.ticket.weights[path])


@pytest.mark.slow
@pytest.mark.parametrize("is_first", [True, False], ids=["before ours", "behind ours"])
@pytest.mark.parametrize(
    ("epoch", "options"),
    [
        (1, {"rewind_to": 6}),  # before the moment
        (2, {"rewind_to": 4}),  # right after going back
        (3, {}),
        (5, {"rewind_to": 4}),
        (3, {"control": "random_reinit"}),
        (4, {"control": "random_mask"}),
    ],
)
def test_killed_and_taken_up_it_ends_as_if_undisturbed(epoch, options, is_first, tmp_path):
    check_taking_up(epoch, options, is_first, tmp_path)


@pytest.mark.slow
def test_killed_and_taken_up_with_compiled_steps(tmp_path):
    check_taking_up(4, {"rewind_to": 4}, True, tmp_path, run_eagerly=False, jit_compile=False, steps_per_execution=2)


def check_taking_up(epoch, options, is_first, tmp_path, **compiling):
    whole, undisturbed = build(**compiling), lottery(**options)
    fit(whole, undisturbed, validation_data=DATA)

    def beside(ours, *more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return [backup, ours, *more] if is_first else [ours, backup, *more]

    with pytest.raises(KilledError):
        fit(build(**compiling), *beside(lottery(**options), Killer(epoch, 1)), validation_data=DATA)
    again, ours = build(**compiling), lottery(**options)
    again.set_weights([value + 1 for value in again.get_weights()])  # nothing is known of the first values
    fit(again, *beside(ours), validation_data=DATA)
    assert_same(state_of(again), state_of(whole))
    assert ours.rounds_done == undisturbed.rounds_done
    for one, two in zip(ours.tickets, undisturbed.tickets, strict=True):
        assert one.masks == two.masks
        assert_same(one.weights.values(), two.weights.values())


def test_one_callback_serves_two_fits():
    ours, results = lottery(rounds=1), []
    for _ in range(2):
        model = build()
        fit(model, ours, epochs=2)
        results.append((state_of(model), ours.ticket.masks, ours.rounds_done))
    assert_same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert results[0][2] == results[1][2]
    assert results[0][2] is not results[1][2]


def test_it_begins_with_the_first_epoch_of_fit():
    ours = lottery(rounds=1)
    fit(build(), ours, initial_epoch=3, epochs=7)
    assert [each["epoch"] for each in ours.rounds_done] == [3, 5]


def test_what_is_left_is_plain_keras():
    model = build()
    fit(model, epochs=1)
    attributes = set(vars(model))
    fit(model, lottery(rounds=1), epochs=2)
    assert set(vars(model)) <= attributes
    for part in (model, model.optimizer, *model.layers, *model.weights):
        for value in vars(part).values():
            assert not type(value).__module__.startswith("keras_slim"), (part, value)
    assert "keras_slim" not in model.to_json()


def test_config_survives_json():
    ours = lottery(3, {"first": 0.2, "head": 0.1}, control="random_mask", ignore=["norm"], seed=9)
    config = json.loads(json.dumps(ours.get_config()))
    assert LotteryTicket.from_config(config).get_config() == ours.get_config()
    assert set(config) == {
        "rounds", "ratio", "rewind_to", "scope", "control", "ignore", "skip_first_convolution", "seed", "verbose",
    }  # fmt: skip


def test_other_callbacks_start_anew_with_each_stretch(tmp_path):
    """The metric is best at the end of the first stretch; what is kept is the best of the last one."""

    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["scripted"] = [5, 0, 7, 6, 8, 9][epoch]

    stop = keras.callbacks.EarlyStopping("scripted", mode="min", patience=2, restore_best_weights=True)
    history = fit(build(), Scripted(), stop, lottery())
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert stop.best == 8


def test_the_learning_rate_that_a_callback_lowered_goes_back():
    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    model, watch = build(keras.optimizers.SGD(0.5)), Watch()
    fit(model, lottery(), Halve(), watch)
    rates = [state[len(model.weights) + 1] for state in watch.before]
    assert rates == [0.5, 0.25] * 3


def test_training_that_stops_early_is_warned_of():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    ours = lottery()
    with pytest.warns(SlimWarning, match="after 1 of 2 rounds"):
        fit(build(), ours, Stop())
    assert ours.ticket.masks.kept == 64


def test_epochs_that_cannot_be_divided_are_refused():
    model = build()
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"divides the 5 epochs of `fit`.*rounds=2.*Train for 6 epochs, 2 in each of 3"
    ):
        fit(model, lottery(), epochs=5)
    assert_same(model.get_weights(), before)


def test_a_moment_behind_the_first_stretch_is_refused():
    model = build()
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"at most the batches in the first of 3 stretches of training, 6.*rewind_to=7"
    ):
        fit(model, lottery(rewind_to=7))
    assert_same(model.get_weights(), before)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_moment_behind_a_first_stretch_of_unknown_length_is_refused_when_it_ends():
    def pairs():
        for start in range(0, 48, BATCH):
            yield X[start : start + BATCH], Y[start : start + BATCH]

    import tensorflow as tf

    signature = (tf.TensorSpec((None, 6)), tf.TensorSpec((None, 2)))
    data = tf.data.Dataset.from_generator(pairs, output_signature=signature)
    with pytest.raises(ValueError, match=r"training, 6\..*rewind_to=7"):
        build().fit(data, epochs=6, verbose=0, shuffle=False, callbacks=[lottery(rewind_to=7)])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounds": 0}, "rounds"),
        ({"ratio": 1.0}, "ratio"),
        ({"ratio": 20}, "give 0.2"),
        ({"ratio": {"first": 0.1}, "scope": "global"}, "ranks them together"),
        ({"rewind_to": -1}, "rewind_to"),
        ({"control": "random"}, "Did you mean 'random_mask'"),
        ({"control": "random_reinit", "rewind_to": 3}, "no early training"),
        ({"ticket": Ticket(Masks({}), {}), "rewind_to": 3}, "0 with a ticket"),
        ({"scope": "all"}, "scope"),
    ],
)
def test_arguments_out_of_range_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        lottery(**options)


def test_what_is_no_ticket_is_refused():
    with pytest.raises(TypeError, match=r"keras_slim\.sparsity\.Ticket"):
        lottery(ticket=Masks({}))


def test_names_that_are_not_found_are_refused():
    with pytest.raises(ValueError, match=r"argument `ratio` of `LotteryTicket`.*Did you mean 'first'"):
        fit(build(), lottery(ratio={"fist": 0.1}))


def test_a_ticket_of_another_model_is_refused():
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="first")], name="net")
    with pytest.raises(PlanMismatchError):
        fit(build(), lottery(ticket=Ticket.of(other, Masks.nonzero(other))))


def test_there_is_no_ticket_before_fit():
    assert lottery().ticket is None
    assert lottery().tickets == []


def test_it_says_what_it_does(capsys):
    fit(build(), lottery(rounds=1, rewind_to=2, verbose=1), epochs=2)
    assert capsys.readouterr().out == "\nEpoch 2: round 1 of 1, 64 of 80 weights, density 0.8000, back to step 2\n"

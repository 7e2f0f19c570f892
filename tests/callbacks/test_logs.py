"""What callbacks put into the logs, and that others read it, before ours in the list or behind."""

import csv
import json
import pickle

import keras
import numpy as np
import pytest
from batching import batches
from three_layers import three_layers

import keras_slim as slim
from keras_slim.callbacks.announcing import Announcing
from keras_slim.callbacks.count import Count

RNG = np.random.default_rng(3)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.normal(size=(32, 2)).astype("float32")
EPOCHS = 4
KERNELS = 4 * 16 + 16 * 16 + 16 * 2
PARAMS = KERNELS + 16 + 16 + 2
GUARDS = slim.pruning.Guards(align=1)
CUT = {"units", "params", "macs", "weight_bytes"}
HELD = {"sparsity", "params", "weight_bytes"}
# Three quarters of the weights in kernels are zero: the others, and a bit for each, are stored.
SPARSE = 4 * (PARAMS - KERNELS * 3 // 4) + KERNELS // 8
# Ways to make each callback, and the names of what it tells. A new callback needs a line here.
EXAMPLES = {
    "DenseSparseDense": (
        {"sparsity": 0.75, "dense_epochs": 1, "sparse_epochs": 1, "redense_epochs": 2, "redense_rate": 1.0},
        {*HELD, "dsd_phase", "learning_rate"},
    ),
    "GradualPruning": ({"sparsity": 0.75, "schedule": "constant", "window": (0.5, 0.5), "frequency": 1}, HELD),
    "HoldMasks": ({}, HELD),
    "LotteryTicket": ({"rounds": 1, "ratio": 0.75}, HELD),
    "ProgressiveGlobalPruning": (
        {"ratio": 0.5, "rounds": 1, "criterion": "l2", "window": (0.5, 0.5), "guards": GUARDS},
        CUT,
    ),
    "QuantizationAwareTraining": (
        {"bits": 4, "begin": 2, "data": (X, Y)},
        {"float_loss", "quantization_gap", "params", "weight_bytes"},
    ),
    "StructuredLotteryTicket": ({"rounds": 1, "ratio": 0.5, "guards": GUARDS}, CUT),
    "WeightSharing": ({"bits": 2, "free_epochs": 2}, {*HELD, "distinct_values"}),
}


def test_every_callback_that_tells_something_has_an_example():
    telling = {name for name in slim.callbacks.__all__ if issubclass(getattr(slim.callbacks, name), Announcing)}
    assert telling == set(EXAMPLES)


def make(name):
    options, _ = EXAMPLES[name]
    return getattr(slim.callbacks, name)(**options, **({} if name == "HoldMasks" else {"verbose": 0}))


def build():
    return three_layers(0.5)


def fit(callbacks, model=None, **options):
    model = model or build()
    return model.fit(batches(X, Y), **{"epochs": EPOCHS, "verbose": 0, "callbacks": callbacks, **options}).history


def rows(path):
    """What a CSVLogger wrote, without the columns that it makes up where nothing is validated."""
    with path.open() as file:
        return [{name: row[name] for name in row if not name.startswith("val_")} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_logger_reads_what_a_callback_knows_whatever_the_order(name, tmp_path):
    before, behind, callback = tmp_path / "before.csv", tmp_path / "behind.csv", make(name)
    history = fit([keras.callbacks.CSVLogger(before), callback, keras.callbacks.CSVLogger(behind)])
    assert set(history) == {"loss", *EXAMPLES[name][1]}
    for path in (before, behind):
        for number, row in enumerate(rows(path)):
            expected = {"epoch": number, **{key: values[number] for key, values in history.items()}}
            assert {key: float(value) for key, value in row.items()} == pytest.approx(expected)


def test_the_first_epoch_tells_of_the_dense_network():
    for name, (_, names) in EXAMPLES.items():
        if name != "QuantizationAwareTraining":  # it adds ranges to the model
            found = {key: values[0] for key, values in fit([make(name)]).items()}
            dense = {"units": 32, "macs": KERNELS, "params": PARAMS, "weight_bytes": 4 * PARAMS, "sparsity": 0}
            dense |= {"distinct_values": KERNELS}
            assert {key: found[key] for key in names & set(dense)} == {key: dense[key] for key in names & set(dense)}


@pytest.mark.parametrize("name", ["ProgressiveGlobalPruning", "StructuredLotteryTicket"])
def test_what_is_left_after_a_cut_is_counted(name):
    model = build()
    last = {key: values[-1] for key, values in fit([make(name)], model).items() if key != "loss"}
    first, second = model.get_layer("first").units, model.get_layer("second").units
    params = 4 * first + first + first * second + second + second * 2 + 2
    assert first + second == 16
    macs = 4 * first + first * second + second * 2
    assert last == {"units": 16, "params": params, "macs": macs, "weight_bytes": 4 * params}


def test_weights_that_are_zero_are_not_stored():
    for name in ("GradualPruning", "LotteryTicket"):
        history = fit([make(name)])
        assert (history["sparsity"][0], history["sparsity"][-1]) == (0, 0.75)
        assert history["weight_bytes"] == [SPARSE if sparsity else 4 * PARAMS for sparsity in history["sparsity"]]


def test_weights_that_share_values_are_stored_as_codes():
    history = fit([make("WeightSharing")])
    assert history["distinct_values"] == [KERNELS, KERNELS, 12, 12]  # four of each of three kernels
    assert history["weight_bytes"] == [4 * PARAMS] * 2 + [4 * (PARAMS - KERNELS + 12) + KERNELS * 2 // 8] * 2


def test_weights_that_are_rounded_are_stored_in_their_bits():
    history = fit([make("QuantizationAwareTraining")])
    saved = [history["weight_bytes"][0] - now for now in history["weight_bytes"]]
    assert saved == [0, 0, *[KERNELS * (32 - 4) // 8] * 2]
    assert [gap != 0 for gap in history["quantization_gap"]] == [False, False, True, True]


def test_weights_that_are_rounded_and_zero_take_both_into_account():
    rounding = slim.callbacks.QuantizationAwareTraining(bits=4, verbose=0)
    alone = fit([rounding])["weight_bytes"][-1]
    both = fit([slim.callbacks.QuantizationAwareTraining(bits=4, verbose=0), make("GradualPruning")])
    assert alone - both["weight_bytes"][-1] == KERNELS * 3 // 4 * 4 // 8 - KERNELS // 8
    assert both["sparsity"][-1] == 0.75


def test_early_stopping_before_ours_finds_what_ours_knows():
    stop = keras.callbacks.EarlyStopping("sparsity", mode="min", patience=1)
    with pytest.warns(slim.errors.SlimWarning, match="had come to its end"):
        history = fit([stop, make("GradualPruning")], epochs=8)
    assert len(history["loss"]) == 2  # no better than in the first epoch


def test_a_list_of_the_users_own_serves_two_fits():
    model, callback = build(), make("HoldMasks")
    own = keras.callbacks.CallbackList([callback], add_history=True, model=model, epochs=1, steps=1, verbose=0)
    for _ in range(2):
        assert set(fit(own, model, epochs=1)) == {"loss", *HELD}
    assert len(own.callbacks) == 3  # one speaks for it


def test_ours_can_be_taken_out_of_a_list_of_the_users_own():
    model, callback = build(), make("HoldMasks")
    own = keras.callbacks.CallbackList([callback], add_history=True, model=model, epochs=1, steps=1, verbose=0)
    fit(own, model, epochs=1)
    own.callbacks.remove(callback)
    assert set(fit(own, model, epochs=1)) >= {"loss"}


def test_the_list_given_to_fit_stays_as_it_was():
    callbacks = [make("HoldMasks")]
    fit(callbacks, epochs=1)
    assert len(callbacks) == 1


def test_a_callback_that_is_called_by_itself_speaks_for_itself():
    callback, logs = make("HoldMasks"), {}
    callback.set_model(build())
    callback.set_params({"epochs": 1, "steps": 1})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0, logs)
    assert logs == {"sparsity": 0, "params": PARAMS, "weight_bytes": 4 * PARAMS}


class InParts(keras.Model):
    """A model with a step of its own, in which a part of it is called, and it itself never."""

    def __init__(self):
        super().__init__()
        self.part = build()

    def train_step(self, data):
        return {"loss": keras.ops.mean(self.part(data[0]))}


def test_a_model_that_is_never_called_is_counted(tmp_path):
    model = InParts()
    model.compile("sgd", run_eagerly=True)
    callbacks = [slim.callbacks.Summaries(tmp_path), make("HoldMasks")]
    assert not model.built
    assert fit(callbacks, model, epochs=1)["params"] == [PARAMS]


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_progress_bar_counts_without_decimals(verbose, capsys):
    fit([make("HoldMasks")], epochs=1, verbose=verbose)
    said = capsys.readouterr().out
    assert f"params: {PARAMS} " in said
    assert "weight_bytes: 1,544\n" in said
    assert "sparsity: 0.0000e+00 " in said


def test_a_count_is_a_number_like_any_other():
    count = Count(1234567)
    assert count == 1234567
    assert f"{count:.4f} {Count(0):.4e}" == "1,234,567 0"
    assert f"{count:.1f} {count} {count / 2}" == "1234567.0 1234567.0 617283.5"
    assert f"{count / 1:.4f}" == "1,234,567"
    assert json.dumps([count]) == "[1234567.0]"
    assert pickle.loads(pickle.dumps(count)) == count
    assert np.array([count]).dtype == "float64"

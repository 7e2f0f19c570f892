import math
import types

import keras
import pytest
from searching import PARAMS, build

from keras_slim.errors import MissingExtraError, SlimWarning
from keras_slim.pruning import Measure
from keras_slim.tuning import CompressionHyperModel
from keras_slim.tuning.costs import Costs, check_cost
from keras_slim.tuning.methods import METHODS, Prune, Training, parts_of
from keras_slim.tuning.scoring import Scoring
from keras_slim.tuning.spaces import ask, check_space


class Half(Measure):
    alias, counted = "half", "params"

    def meter(self, model):
        return model.count_params() / 2, lambda smaller: smaller.count_params() / 2


def scoring(monitor="val_accuracy", budget=200, is_done=lambda model: True, cost="params"):
    mode = "auto" if monitor == "val_loss" else "max"  # of others Keras can tell in `fit` alone
    made = Scoring(monitor, mode, Costs(cost, False, "Owner"), budget, 0.5, is_done, "Owner")
    made.set_model(build())
    return made


@pytest.mark.parametrize(
    ("monitor", "value", "budget", "expected"),
    [
        ("val_accuracy", 0.9, PARAMS, 0.9),
        ("val_accuracy", 0.9, 2 * PARAMS, 0.9),
        ("val_accuracy", 0.9, PARAMS / 2, 0.9 - 0.5 * 1),
        ("val_loss", 0.9, PARAMS / 3, -0.9 - 0.5 * 2),
        ("val_accuracy", math.nan, PARAMS, -math.inf),
    ],
)
def test_the_score_is_the_metric_less_what_is_over_the_budget(monitor, value, budget, expected):
    logs = {monitor: value}
    scoring(monitor, budget).on_epoch_end(0, logs)
    assert logs["score"] == pytest.approx(expected)
    # 6 * 16 + 16 * 8 + 8 * 2 multiply-accumulates, 4 bytes a weight
    assert (logs["params"], logs["macs"], logs["weight_bytes"]) == (PARAMS, 240, 4 * PARAMS)


def test_an_epoch_with_a_model_that_will_be_smaller_is_never_the_best():
    logs = {"val_accuracy": 0.9}
    made = scoring(is_done=lambda model: False)
    made.on_epoch_end(0, logs)
    assert logs["score"] == made.best == -math.inf
    assert logs["params"] == PARAMS


def test_a_measure_of_the_users_own_can_be_the_cost():
    logs = {"val_accuracy": 0.9}
    scoring(cost=check_cost(Half(), "Owner"), budget=PARAMS / 4).on_epoch_end(0, logs)
    assert logs["half"] == PARAMS / 2
    assert logs["score"] == pytest.approx(0.9 - 0.5)


def test_bytes_and_latency_are_those_of_the_file(tmp_path):
    import keras_slim as slim

    model = build()
    report = slim.export_tflite(model, tmp_path / "model.tflite", verbose=0)
    costs = Costs("bytes", False, "Owner")
    before, after = costs.of_model(model, False), costs.of_model(model, True)
    assert math.isnan(before["bytes"])
    assert after["bytes"] == report.bytes
    assert 0 < after["latency"] < 100
    assert costs.of_model(model, True) is after  # an export takes a second: not after every epoch


@pytest.mark.parametrize(
    ("cost", "of"), [("params", "params"), ("macs", "macs"), ("latency", "macs"), (Half(), "params")]
)
def test_a_ratio_is_a_share_of_what_the_cost_follows(cost, of):
    assert Costs(cost, False, "Owner").of == of


def test_costs_that_are_none_are_told():
    with pytest.raises(ValueError, match=r"`cost` of `Owner`.*'macs'\? A multiply-accumulate"):
        check_cost("flops", "Owner")
    with pytest.raises(TypeError, match="`cost` of `Owner`"):
        check_cost(3, "Owner")
    with pytest.raises(ValueError, match="with an attribute `alias`"):
        check_cost(Measure(), "Owner")


class Asked:
    """Notes what keras-tuner would be asked."""

    def __getattr__(self, kind):
        return lambda *args, **options: (kind, args, options)


def test_a_space_is_asked_for_as_what_it_is():
    hp = Asked()
    assert ask(hp, "a", [1, 2]) == ("Choice", ("a", [1, 2]), {})
    assert ask(hp, "a", (1, 4)) == ("Int", ("a", 1, 4), {"step": None})
    assert ask(hp, "a", (0.1, 1, 0.3)) == ("Float", ("a", 0.1, 1), {"step": 0.3})
    assert ask(hp, "a", "l2") == ("Fixed", ("a", "l2"), {})
    assert ask(hp, "a", lambda hp, name: hp.Float(name, 0.1, 1, sampling="log"))[2] == {"sampling": "log"}


@pytest.mark.parametrize("space", [[], [1, "a"], (3, 1), (1,), (1, 2, 3, 4), ("a", "b"), None, {"a": 1}])
def test_what_is_no_space_is_told(space):
    with pytest.raises(ValueError, match=r"`settings\['ratio'\]` of `Owner`.*a range"):
        check_space(space, "ratio", "Owner")


def test_what_exchanges_layers_stands_before_what_cuts():
    assert parts_of("prune+quantize", METHODS, "Owner") == ["quantize", "prune"]
    with pytest.raises(ValueError, match=r"Received: .*'prun'.* Did you mean 'prune'\?"):
        parts_of("prun", METHODS, "Owner")


@pytest.mark.parametrize(("epochs", "rounds"), [(1, 1), (2, 2), (4, 3), (12, 5)])
def test_short_fits_have_as_many_rounds_as_they_have_place_for(epochs, rounds):
    settings = {
        "criterion": "l2",
        "debias": "l2",
        "ratio": 0.5,
        "rounds": 5,
        "align": 1,
        "max_ratio": 0.9,
        "of": "macs",
    }
    (callback,) = Prune().callbacks(settings, Training(3, 3 + epochs))
    assert callback.rounds == rounds
    assert callback.guards.max_ratio_per_round == callback.guards.max_ratio == 0.9
    assert callback.of.alias == "macs"


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras_tuner", None)
    with pytest.raises(MissingExtraError, match=r"'keras_tuner'.*pip install 'keras_slim\[tuning\]'"):
        CompressionHyperModel(build, 100)
    fake = types.ModuleType("keras_tuner")
    fake.HyperModel = type("HyperModel", (), {})
    monkeypatch.setitem(__import__("sys").modules, "keras_tuner", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert keras.backend.backend() == "tensorflow"
    with pytest.raises(MissingExtraError, match=r"'tensorboard'.*pip install 'keras_slim\[tuning\]'"):
        CompressionHyperModel(build, 100)


def test_a_model_that_does_not_convert_is_searched_all_the_same():
    layers = [keras.Input((None, 3)), keras.layers.Conv1D(4, 3), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential(layers)
    costs = Costs("params", True, "Owner")
    with pytest.warns(SlimWarning, match="does not convert, so its bytes and latency are not known"):
        found = costs.of_model(model, True)
    assert found["params"] == 3 * 3 * 4 + 4
    assert math.isnan(found["bytes"])
    assert "macs" not in found
    with pytest.raises(ValueError, match="multiply-accumulates of model .* are not known.*Take another `cost`"):
        Costs("macs", False, "Owner").of_model(model, True)

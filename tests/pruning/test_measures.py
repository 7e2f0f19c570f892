"""What a cut can be counted in, and that a cut that has to be measured ends where the measurement says."""

import json

import keras
import numpy as np
import pytest
from model_zoo import perceptron, randomise, residual

import keras_slim as slim
from keras_slim.errors import UnreachableTargetError
from keras_slim.pruning import FileBytes, FileLatency, Guards, Macs, Measure, Params, Units
from keras_slim.pruning.measures import measures

ANY = Guards(min_units=1, align=1)
OVERHEAD = 300


class Weight(Measure):
    """What a file would weigh: four bytes a parameter, and some more. It notes what it weighed."""

    alias = "bytes"
    counted = "params"
    tolerance = 0.02

    def __init__(self, overhead=OVERHEAD):
        super().__init__()
        self.overhead, self.weighed = overhead, []

    def meter(self, model):
        def weigh(smaller):
            self.weighed.append(smaller)
            return self.overhead + 4 * smaller.count_params()

        return weigh(model), weigh


@pytest.mark.parametrize("name", measures.names())
def test_a_measure_survives_json(name):
    options = {"units": {}, "bytes": {"quantize": "int8"}, "latency": {"quantize": "float16", "threads": 3}}
    measure = measures.get({"name": name, "config": options.get(name, {"weigh": 0.5})}, "of", "test")
    config = json.loads(json.dumps(measures.serialize(measure)))
    again = measures.get(config, "of", "test")
    assert type(again) is type(measure)
    assert vars(again) == vars(measure)


@pytest.mark.parametrize("name", measures.names())
def test_a_name_stands_for_the_measure_without_options(name):
    measure = measures.get(name, "of", "test")
    assert measure.alias == name
    assert measure.weigh == 0
    assert measure.counted in ("units", "params", "macs")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Macs(weigh=2), ValueError, r"`weigh` of `Macs`. Expected a share in \[0, 1\]"),
        (lambda: Params(weigh=True), TypeError, "`weigh` of `Params`"),
        (lambda: FileBytes("int9"), ValueError, "`quantize` of `FileBytes`.*Did you mean 'int8'"),
        (lambda: FileLatency("float61"), ValueError, "`quantize` of `FileLatency`.*Did you mean 'float16'"),
        (lambda: FileLatency(threads=0), ValueError, "`threads` of `FileLatency`"),
        (lambda: slim.plan_pruning(perceptron(), 0.5, of="seconds"), ValueError, "Expected one of 'bytes', 'latency'"),
        (lambda: slim.plan_pruning(perceptron(), 0.5, of=3), TypeError, "`of` of `plan_pruning`"),
    ],
)
def test_a_senseless_measure_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(("name", "measure"), [("units", Units()), ("params", Params()), ("macs", Macs())])
def test_a_name_and_its_measure_make_the_same_plan(name, measure):
    model = randomise(residual())
    assert slim.plan_pruning(model, 0.4, of=name) == slim.plan_pruning(model, 0.4, of=measure)


def test_a_measured_cut_ends_below_its_target_and_near_it():
    model, measure = randomise(perceptron()), Weight()
    plan = slim.plan_pruning(model, 0.5, of=measure, guards=ANY)
    total = OVERHEAD + 4 * model.count_params()
    assert plan.before.bytes == total
    assert plan.after.bytes == OVERHEAD + 4 * plan.after.params
    # A neuron of the first layer is worth at most 4 * (6 + 1 + 16) bytes.
    assert total / 2 - 92 < plan.after.bytes <= total / 2
    assert slim.shrink(model, plan).count_params() == plan.after.params
    assert len(measure.weighed) <= 5
    assert f"bytes {total:,} -> {plan.after.bytes:,}" in plan.describe()
    assert slim.PruningPlan.from_json(plan.to_json()) == plan


def test_what_is_measured_is_the_network_that_comes_out():
    model, measure = randomise(perceptron()), Weight()
    small = slim.prune(model, 0.5, of=measure, guards=ANY)
    chosen = [each for each in measure.weighed if each.count_params() == small.count_params()]
    assert chosen
    x = np.random.default_rng(0).normal(size=(3, 6))
    np.testing.assert_allclose(chosen[-1](x), small(x), atol=1e-6)


def test_with_nothing_to_remove_only_the_model_itself_is_measured():
    measure = Weight()
    plan = slim.plan_pruning(perceptron(), 0, of=measure)
    assert plan.before == plan.after
    assert len(measure.weighed) == 1


def test_a_measured_target_out_of_reach_says_how_far_it_goes():
    model = perceptron()
    measure = Weight(overhead=4 * model.count_params())
    with pytest.raises(UnreachableTargetError, match=r"at most 0\.4\d\d of the bytes"):
        slim.plan_pruning(model, 0.6, of=measure, guards=ANY)


def test_rounds_in_fit_come_down_to_shares_of_what_the_model_weighed_first():
    model, measure = randomise(perceptron()), Weight()
    total = OVERHEAD + 4 * model.count_params()
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.ones((8, 6)), np.ones((8, 3))
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, of=measure, criterion="l2", rounds=2, guards=ANY, verbose=0)
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[pruning]).history
    for done, left in zip(pruning.rounds_done, (0.5**0.5, 0.5), strict=True):
        assert left * total - 92 < done["bytes"] <= left * total
        assert done["bytes"] == OVERHEAD + 4 * done["params"]
    assert history["bytes"] == [OVERHEAD + 4 * params for params in history["params"]]
    assert (history["bytes"][0], history["params"][-1]) == (total, model.count_params())


def test_rounds_in_fit_tell_before_training_that_a_measured_target_is_out_of_reach():
    model = perceptron()
    model.compile("sgd", "mse", run_eagerly=True)
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        0.6, of=Weight(4 * model.count_params()), criterion="l2", rounds=1, guards=ANY, verbose=0
    )
    with pytest.raises(UnreachableTargetError, match="of the bytes"):
        model.fit(np.ones((8, 6)), np.ones((8, 3)), epochs=4, verbose=0, callbacks=[pruning])
    assert model.optimizer.iterations == 0


class Energy(Measure):
    """A measure of the user's own: what `Cost` has no field for."""

    alias = "energy"
    counted = "macs"
    tolerance = 0.02

    def meter(self, model):
        return self.spend(model), self.spend

    def spend(self, model):
        return np.float32(0.5 * sum(layer.count_params() for layer in model.layers))


def test_a_measure_of_ones_own_is_a_target_too():
    model = randomise(perceptron())
    plan = slim.plan_pruning(model, 0.5, of=Energy(), guards=ANY)
    total = 0.5 * model.count_params()
    assert plan.before.to_dict()["energy"] == total
    assert plan.after.to_dict()["energy"] == 0.5 * plan.after.params
    assert 0.48 * total < plan.after.to_dict()["energy"] <= 0.5 * total
    assert plan.settings["of"] == "energy"
    assert f"energy {total:.4g} -> {0.5 * plan.after.params:.4g} (-5" in plan.describe()
    assert slim.PruningPlan.from_json(plan.to_json()) == plan
    with pytest.raises(UnreachableTargetError, match=r"at most 0\.\d+ of the energy"):
        slim.plan_pruning(model, 0.5, of=Energy(), guards=Guards(min_units=15))


@pytest.mark.parametrize("how", [{"ratio": 0.5, "rounds": 2}, {"ratio": 0.5, "max_drop": 1e6, "monitor": "val_loss"}])
def test_a_measure_of_ones_own_is_followed_in_fit(how):
    model = randomise(perceptron())
    total = 0.5 * model.count_params()
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.ones((8, 6)), np.ones((8, 3))
    options = {"of": Energy(), "criterion": "l2", "guards": ANY, "ratio_per_round": 0.4, "window": (0, 0.9)}
    pruning = slim.callbacks.ProgressiveGlobalPruning(**options, **how, verbose=0)
    history = model.fit(x, y, epochs=4, verbose=0, validation_data=(x, y), callbacks=[pruning]).history
    assert history["energy"] == [0.5 * params for params in history["params"]]
    assert history["energy"][-1] <= 0.5 * total
    assert pruning.rounds_done[-1]["energy"] == history["energy"][-1]


def test_a_measure_of_ones_own_may_count():
    class Heavy(Macs):
        alias = "heavy"

        def __init__(self):
            super().__init__(weigh=0.5)

    model = randomise(residual())
    plan, same = (slim.plan_pruning(model, 0.4, of=of) for of in (Heavy(), Macs(weigh=0.5)))
    assert plan == same


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"alias": ""}, ValueError, "`alias` of `Own`. Expected the name of what it measures.*alias=''"),
        ({"counted": ""}, ValueError, "`counted` of `Own`. Expected one of 'units', 'params', 'macs'.*counted=''"),
        ({"meter": lambda self, model: 3.0}, TypeError, "`meter` of `Own`. Expected a pair.*function.*meter=3.0"),
    ],
)
def test_a_measure_of_ones_own_that_lacks_something_is_told_what(attributes, error, message):
    own = type("Own", (Energy,), attributes)
    with pytest.raises(error, match=message):
        slim.plan_pruning(perceptron(), 0.5, of=own())


@pytest.mark.parametrize("of", ["bytes", "latency"])
def test_inputs_of_unknown_size_have_no_file(of):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(16, 3)(keras.layers.Conv2D(16, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match=f"The (macs|{of}) are not known.*unknown size.*fixed input shape"):
        slim.plan_pruning(model, 0.5, of=of)

"""What must hold for every model, whatever is in it."""

import functools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from model_zoo import inputs_for, perceptron, randomise, sequential, volume
from zoo import BUILDERS

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning import Guards, PruningPlan

LOOSE = Guards(min_units=1, max_ratio=0.9, align=1)


@pytest.fixture(scope="module", params=BUILDERS, ids=lambda builder: builder.__name__)
def build(request):
    return request.param


@pytest.fixture
def cut(build):
    """A model of the zoo in float64, where a cut is exact, and what a cut makes of it, for all laws."""
    # TensorFlow has no AvgPool3D in float64 on the CPU.
    floatx = "float32" if build is volume else "float64"
    keras.config.set_floatx(floatx)
    try:
        yield make_cut(build, floatx)
    finally:
        keras.config.set_floatx("float32")


@functools.lru_cache(1)
def make_cut(build, floatx):
    """Cuts a model deep and at random, once: no law changes what this returns, but for the weights of the copy."""
    model = randomise(build())
    copy = keras.models.clone_model(model)
    before = model.get_config(), model.get_weights()
    plan = slim.plan_pruning(model, 0.6, criterion="random", debias="rank", guards=LOOSE)
    small, dtypes = slim.shrink(model, plan), {"f": floatx, "i": "int64"}
    x = keras.tree.map_structure(lambda array: array.astype(dtypes[array.dtype.kind]), inputs_for(model))
    tolerance = {"float32": 1e-5, "float64": 1e-12}[floatx]
    return SimpleNamespace(
        model=model,
        answers=answers(model, x),
        copy=copy,
        before=before,
        plan=plan,
        small=small,
        x=x,
        tolerance=tolerance,
    )


@pytest.fixture
def fresh(cut):
    """A copy of the model whose weights a law may change."""
    cut.copy.set_weights(cut.before[1])
    return cut.copy


def answers(model, x):
    """Returns all outputs, flat, as one array per output; a stateful model starts anew."""
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_states()
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def assert_same_answers(first, second, tolerance):
    for a, b in zip(first, second, strict=True):
        assert a.shape == b.shape
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


def assert_same_weights(first, second):
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_masked_model_answers_as_the_shrunken_one(cut):
    small = answers(cut.small, cut.x)
    assert_same_answers(small, answers(slim.mask(cut.model, cut.plan), cut.x), cut.tolerance)
    assert not all(np.allclose(a, b, atol=1e-3) for a, b in zip(cut.answers, small, strict=True))


def test_ratio_zero_changes_nothing(cut):
    small = slim.prune(cut.model, 0)
    assert_same_weights(small, cut.model)
    for old, new in zip(cut.answers, answers(small, cut.x), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_model_itself_is_never_changed(cut):
    config, weights = cut.before
    assert cut.model.get_config() == config
    for before, after in zip(weights, cut.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_removing_units_that_nothing_listens_to_changes_no_output(cut, fresh):
    model, x = fresh, cut.x
    graph = analyse(model)
    rng = np.random.default_rng(0)
    dead = np.zeros(graph.num_units, bool)
    for group in graph.groups:
        dead[rng.permutation(group.units)[: group.size // 2]] = True
    for units in graph.statistics.values():
        dead[units[units >= 0]] = False  # statistics listen to every unit
    for units in (*graph.layers.values(), *graph.axes):
        dead[units[0]] = False
    for slot in graph.slots:
        if slot.role == "consumes":
            value = keras.ops.convert_to_numpy(slot.variable).copy()
            np.moveaxis(value, slot.axis, 0)[np.append(dead, False)[slot.units]] = 0
            slot.variable.assign(value)

    class Alive(slim.scoring.Criterion):
        def score(self, graph, data=None):
            return 1.0 - dead

    if not dead.any():
        pytest.skip("statistics listen to all units")
    plan = slim.plan_pruning(
        model, dead.mean() - 1e-9, criterion=Alive(), debias="none", guards=Guards(min_units=1, max_ratio=1.0, align=1)
    )
    assert plan.after.units == graph.num_units - dead.sum()
    assert_same_answers(answers(slim.shrink(model, plan), x), answers(model, x), cut.tolerance)


def check_counts(model, plan, small):
    before, after = slim.profile(model), slim.profile(small)
    assert (plan.before.params, plan.after.params) == (model.count_params(), small.count_params())
    assert (plan.before.macs, plan.after.macs) == (before.macs, after.macs)
    assert (before.parameters, after.parameters) == (plan.before.params, plan.after.params)
    assert plan.after.units == sum(len(group.kept_channels) for group in plan.groups)


def test_counts_agree_between_plan_model_and_profile(cut):
    check_counts(cut.model, cut.plan, cut.small)
    assert cut.plan.after.units <= 0.4 * cut.plan.before.units


def test_a_target_is_reached_in_what_it_is_given_in(build, cut):
    of = ["params", "macs"][BUILDERS.index(build) % 2]
    plan = slim.plan_pruning(cut.model, 0.4, of=of, guards=LOOSE)
    small = slim.shrink(cut.model, plan)
    check_counts(cut.model, plan, small)
    assert plan.after.units == analyse(small).num_units
    assert getattr(plan.after, of) <= 0.6 * getattr(plan.before, of)


def test_the_same_seed_gives_the_same_plan(cut, fresh):
    plans = []
    for model in (cut.model, fresh):
        keras.utils.set_random_seed(3)
        plans.append(slim.plan_pruning(model, 0.5, criterion="random", guards=LOOSE))
    assert plans[0] == plans[1]


def test_a_plan_survives_json_and_replays_on_a_fresh_copy(cut, fresh):
    again = PruningPlan.from_json(cut.plan.to_json())
    assert again == cut.plan
    assert_same_weights(slim.shrink(fresh, again), cut.small)


def test_the_shrunken_model_is_a_plain_keras_model(cut):
    assert type(cut.small) is type(cut.model)
    assert cut.small.name == cut.model.name
    assert [layer.name for layer in cut.small.layers] == [layer.name for layer in cut.model.layers]
    assert all(type(layer).__module__.startswith("keras") for layer in cut.small.layers)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_layers_keep_their_policy(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = randomise(perceptron())
        small = slim.prune(model, 0.5, guards=LOOSE)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.dtype_policy.name for layer in small.layers} == {policy}


def test_frozen_layers_stay_frozen_and_a_frozen_model_too():
    model = randomise(sequential())
    model.layers[0].trainable = False
    assert [layer.trainable for layer in slim.prune(model, 0.3).layers] == [layer.trainable for layer in model.layers]
    model.trainable = False
    assert slim.prune(model, 0.3).trainable is False


def test_the_order_of_scores_alone_decides_within_a_layer():
    model = randomise(perceptron())
    kernel = keras.ops.convert_to_numpy(model.layers[1].kernel)
    plan = slim.plan_pruning(model, 0.5, criterion="l1", debias="rank", guards=LOOSE)
    group = plan.groups[0]
    norms = np.abs(kernel).sum(axis=0)
    expected = np.sort(np.argsort(norms)[-len(group.kept_channels) :])
    assert list(group.kept_channels) == expected.tolist()

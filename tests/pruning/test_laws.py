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
    """A model of the zoo, and what a cut makes of it: made once for all laws, none of which changes it."""
    return make_cut(build)


@functools.lru_cache(1)
def make_cut(build):
    model = randomise(build())
    before = model.get_config(), model.get_weights()
    plan = slim.plan_pruning(model, 0.4, criterion="l1", debias="rank", guards=LOOSE)
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    return SimpleNamespace(model=model, before=before, plan=plan, small=small, masked=masked)


def answers(model, x):
    """Returns all outputs, flat, as one array per output; a stateful model starts anew."""
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_states()
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def assert_same_answers(first, second, x, tolerance):
    for a, b in zip(answers(first, x), answers(second, x), strict=True):
        assert a.shape == b.shape
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.onednn
def test_the_masked_model_answers_as_the_shrunken_one(cut):
    x = inputs_for(cut.model)
    assert_same_answers(cut.small, cut.masked, x, 1e-5)
    pairs = zip(answers(cut.model, x), answers(cut.small, x), strict=True)
    assert not all(np.allclose(a, b, atol=1e-3) for a, b in pairs)


def test_the_law_is_exact_in_float64_and_for_a_deep_random_cut(build):
    # TensorFlow has no AvgPool3D in float64 on the CPU.
    floatx, tolerance = ("float32", 1e-5) if build is volume else ("float64", 1e-12)
    keras.config.set_floatx(floatx)
    try:
        model = randomise(build())
        plan = slim.plan_pruning(model, 0.6, criterion="random", debias="rank", guards=LOOSE)
        dtypes = {"f": floatx, "i": "int64"}
        x = keras.tree.map_structure(lambda array: array.astype(dtypes[array.dtype.kind]), inputs_for(model))
        assert_same_answers(slim.shrink(model, plan), slim.mask(model, plan), x, tolerance)
    finally:
        keras.config.set_floatx("float32")


def test_ratio_zero_changes_nothing(cut):
    small = slim.prune(cut.model, 0)
    assert [w.shape for w in small.weights] == [w.shape for w in cut.model.weights]
    x = inputs_for(cut.model)
    for old, new in zip(answers(cut.model, x), answers(small, x), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_model_itself_is_never_changed(cut):
    config, weights = cut.before
    assert cut.model.get_config() == config
    for before, after in zip(weights, cut.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_removing_units_that_nothing_listens_to_changes_no_output(build):
    model = randomise(build())
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
    assert_same_answers(slim.shrink(model, plan), model, inputs_for(model), 1e-5)


@pytest.mark.parametrize("of", ["units", "params", "macs"])
def test_counts_agree_between_plan_model_and_profile(cut, of):
    model, plan, small = cut.model, cut.plan, cut.small
    if of != "units":
        plan = slim.plan_pruning(model, 0.4, of=of, guards=LOOSE)
        small = slim.shrink(model, plan)
    before, after = slim.profile(model), slim.profile(small)
    assert (plan.before.params, plan.after.params) == (model.count_params(), small.count_params())
    assert (plan.before.macs, plan.after.macs) == (before.macs, after.macs)
    assert (before.parameters, after.parameters) == (plan.before.params, plan.after.params)
    assert plan.after.units == sum(len(group.kept_channels) for group in plan.groups)
    assert plan.after.units == analyse(small).num_units
    assert getattr(plan.after, of) <= 0.6 * getattr(plan.before, of)


def test_the_same_seed_gives_the_same_plan(build, cut):
    plans = []
    for model in (cut.model, randomise(build())):
        keras.utils.set_random_seed(3)
        plans.append(slim.plan_pruning(model, 0.5, criterion="random", guards=LOOSE))
    assert plans[0] == plans[1]


def test_a_plan_survives_json_and_replays_on_a_fresh_copy(cut):
    again = PruningPlan.from_json(cut.plan.to_json())
    assert again == cut.plan
    fresh = keras.models.clone_model(cut.model)
    fresh.set_weights(cut.model.get_weights())
    assert_same_answers(slim.shrink(fresh, again), cut.small, inputs_for(cut.model), 1e-6)


def test_the_shrunken_model_is_a_plain_keras_model(cut, tmp_path):
    assert type(cut.small) is type(cut.model)
    assert cut.small.name == cut.model.name
    assert [layer.name for layer in cut.small.layers] == [layer.name for layer in cut.model.layers]
    assert all(type(layer).__module__.startswith("keras") for layer in cut.small.layers)
    cut.small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras", safe_mode=True)
    x = inputs_for(cut.model)
    for one, two in zip(answers(cut.small, x), answers(loaded, x), strict=True):
        np.testing.assert_array_equal(one, two)


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

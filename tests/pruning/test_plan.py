import json

import keras
import pytest
from model_zoo import perceptron, randomise, residual, with_a_layer_without_a_rule

import keras_slim as slim
from keras_slim.errors import PlanMismatchError, UnreachableTargetError, UnsupportedLayerError
from keras_slim.pruning import Cost, GroupPlan, Guards, PruningPlan


def test_describe_names_groups_ties_counts_and_what_is_left_whole():
    plan = slim.plan_pruning(randomise(residual()), 0.5, of="macs")
    text = plan.describe()
    for group in plan.groups:
        assert f"{group.name}: {len(group.kept_channels)} of {group.size}" in text
    assert "tied: conv2d, conv2d_2, conv2d_4 (by add, add_1)" in text
    assert "dense: its units are a model output" in text
    assert f"{plan.before.macs:,} -> {plan.after.macs:,}" in text


def test_describe_names_layers_without_a_rule():
    text = slim.plan_pruning(with_a_layer_without_a_rule(), 0.1).describe()
    assert "spectral_normalization: SpectralNormalization has no rule" in text


def test_a_model_with_nothing_to_prune_says_so():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert slim.plan_pruning(model, 0).describe().startswith("Nothing in this model can be pruned.")
    with pytest.raises(UnreachableTargetError, match="nothing in this model can be pruned"):
        slim.plan_pruning(model, 0.5)


def test_a_plan_for_another_architecture_is_refused_with_both_sides():
    plan = slim.plan_pruning(perceptron(), 0.5)
    with pytest.raises(PlanMismatchError, match=r"'dense', 24.*plan_pruning"):
        slim.shrink(residual(), plan)


def test_a_plan_with_ignored_layers_fits_the_whole_model():
    model = perceptron()
    plan = slim.plan_pruning(model, 0.25, ignore=["dense"])
    small = slim.shrink(model, plan)
    assert small.get_layer("dense").units == 24
    assert small.get_layer("dense_1").units < 16
    assert slim.prune(model, 0.25, ignore=["dense"]).count_params() == small.count_params()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 99}', None],
)
def test_text_that_is_no_plan_is_refused(text):
    with pytest.raises(ValueError, match="not a pruning plan of version 1"):
        PruningPlan.from_json(text)


@pytest.mark.parametrize("channels", [[], [3, 1], [0, 0], [-1], [24], ["a"]])
def test_a_plan_with_senseless_channels_is_refused(channels):
    data = json.loads(slim.plan_pruning(perceptron(), 0.5).to_json())
    data["groups"][0]["kept_channels"] = channels
    with pytest.raises(ValueError, match="not a pruning plan"):
        PruningPlan.from_json(json.dumps(data))


@pytest.mark.parametrize("ratio", [1, 1.0, -0.1, 30, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ValueError, match="`ratio` of `plan_pruning`. Expected a share in \\[0, 1\\)"):
        slim.plan_pruning(perceptron(), ratio)


def test_a_ratio_in_per_cent_is_recognised():
    with pytest.raises(ValueError, match="For 30 per cent, give 0.3"):
        slim.plan_pruning(perceptron(), 30)


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [("criterion", "tailor", "taylor"), ("debias", "zscore", "z_score"), ("of", "mac", "macs")],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, value, nearest):
    with pytest.raises(ValueError, match=f"`{name}` of `plan_pruning`.*Did you mean '{nearest}'"):
        slim.plan_pruning(perceptron(), 0.5, **{name: value})


def test_guards_that_make_the_ratio_unreachable_say_how_far_it_goes():
    guards = Guards(min_units=20, align=1)
    with pytest.raises(UnreachableTargetError, match=r"at most 0\.100 of the units.*Lower it, or loosen"):
        slim.plan_pruning(perceptron(), 0.5, guards=guards)
    assert slim.plan_pruning(perceptron(), 0.1, guards=guards).after.units == 36


def test_guards_of_another_type_are_refused():
    with pytest.raises(TypeError, match="`guards`"):
        slim.plan_pruning(perceptron(), 0.5, guards={"align": 1})


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match="not built"):
        slim.plan_pruning(keras.Sequential([keras.layers.Dense(3)]), 0.5)


def test_a_subclassed_model_that_cannot_be_read_is_refused_with_the_way_out():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs) if keras.ops.sum(inputs) > 0 else inputs

    model = Own()
    model(keras.ops.ones((1, 4)))
    with pytest.raises(UnsupportedLayerError, match=r"keras\.Model\(inputs, outputs\)"):
        slim.plan_pruning(model, 0.5)


def test_channels_are_aligned_to_eight_by_default():
    plan = slim.plan_pruning(residual(), 0.4)
    assert all(len(group.kept_channels) % 8 == 0 or len(group.kept_channels) == group.size for group in plan.groups)


def test_a_model_with_open_sizes_is_pruned_by_units_and_told_that_work_is_unknown():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(16, 3)(keras.layers.Conv2D(16, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    plan = slim.plan_pruning(model, 0.5)
    assert plan.after.macs is None
    assert slim.shrink(model, plan).count_params() == plan.after.params
    assert "unknown" in plan.describe()
    with pytest.raises(ValueError, match="unknown size"):
        slim.plan_pruning(model, 0.5, of="macs")


def test_the_picture_of_a_plan_shows_each_group():
    plan = slim.plan_pruning(randomise(residual()), 0.5, of="macs")
    (axes,) = plan.plot().axes
    sizes = [group.size for group in plan.groups]
    kept = [len(group.kept_channels) for group in plan.groups]
    assert [bar.get_width() for bar in axes.patches] == [*sizes, *kept]
    assert [text.get_text() for text in axes.texts] == [f"{k} of {s}" for k, s in zip(kept, sizes, strict=True)]
    assert "conv2d and 2 tied" in [label.get_text() for label in axes.get_yticklabels()]


def test_a_plan_of_nothing_has_no_picture():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="Nothing in this model can be pruned"):
        slim.plan_pruning(model, 0.0).plot()


def test_a_picture_of_many_groups_shows_the_largest():
    cost = Cost(0, 0, None)
    groups = tuple(GroupPlan(f"g{size}", (f"g{size}",), size, (0,)) for size in range(1, 46))
    figure = PruningPlan(groups, (), cost, cost).plot()
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert "g6" in str(names)
    assert not {"g1", "g5"} & set(names)
    assert figure.get_supxlabel() == "5 more groups, none of them larger, are not shown"

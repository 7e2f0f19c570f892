import types

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings

import keras_slim as slim
from keras_slim.pruning import Guards
from keras_slim.pruning.selection import protect, select, select_weighed


def graph_of(sizes):
    """Returns what `protect` reads of a graph whose groups are one layer each."""
    ends = np.cumsum(sizes)
    layers = {str(index): np.arange(end - size, end) for index, (size, end) in enumerate(zip(sizes, ends, strict=True))}
    return types.SimpleNamespace(layers=layers, axes=tuple(layers.values()))


def select_units(scores, sizes, count, guards):
    scores = np.asarray(scores, float)
    group_of = np.repeat(np.arange(len(sizes)), sizes)
    protected = protect(scores, graph_of(sizes), guards.fewest(sizes))
    return select(scores, group_of, protected, guards.aligner(sizes), lambda keep: keep.sum(), count), group_of


def test_the_lowest_scores_of_the_whole_network_go():
    guards = Guards(min_units=1, max_ratio=1.0, align=1)
    keep, _ = select_units([5, 1, 4, 0.5, 3, 2], [3, 3], 3, guards)
    assert keep.tolist() == [True, False, True, False, True, False]


def test_a_group_at_its_floor_loses_no_more_and_the_others_make_up_for_it():
    guards = Guards(min_units=2, max_ratio=1.0, align=1)
    keep, _ = select_units([1, 2, 3, 10, 11, 12, 13], [3, 4], 4, guards)
    assert keep.tolist() == [False, True, True, False, False, True, True]


def test_ties_go_by_position():
    guards = Guards(min_units=1, max_ratio=1.0, align=1)
    keep, _ = select_units([1, 1, 1, 1], [4], 2, guards)
    assert keep.tolist() == [False, False, True, True]


def test_overshoot_of_the_alignment_is_given_back():
    # Coming down to 20 of 32 means losing 8 of each group if only the ranking counts; one group's 8 are enough... to
    # reach 24, so both must go; but 24 can be reached by one.
    guards = Guards(min_units=1, max_ratio=1.0, align=8)
    scores = np.concatenate([np.arange(16), np.arange(16) + 0.5])
    keep, group_of = select_units(scores, [16, 16], 24, guards)
    assert np.bincount(group_of[keep]).tolist() in ([8, 16], [16, 8])


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
    align=st.sampled_from([1, 4, 8]),
    min_units=st.integers(1, 6),
    max_ratio=st.sampled_from([0.3, 0.9, 1.0]),
)
def test_every_selection_respects_the_guards_and_reaches_what_can_be_reached(
    sizes, share, seed, align, min_units, max_ratio
):
    guards = Guards(min_units=min_units, max_ratio=max_ratio, align=align)
    scores = np.random.default_rng(seed).normal(size=sum(sizes))
    target = share * sum(sizes)
    keep, group_of = select_units(scores, sizes, target, guards)
    kept = np.bincount(group_of[keep], minlength=len(sizes))
    fewest = guards.fewest(sizes)
    assert (kept >= fewest).all()
    aligned = (kept % align == 0) | (kept == sizes) | (np.array(sizes) <= align)
    assert aligned.all()
    for group in range(len(sizes)):
        mine = group_of == group
        if (mine & keep).any() and (mine & ~keep).any():
            assert scores[mine & keep].min() > scores[mine & ~keep].max()
    reachable = guards.aligner(sizes)(fewest, np.array(sizes)).sum()
    assert kept.sum() <= max(target, reachable)


def test_a_layer_inside_a_large_group_is_never_left_with_nothing():
    """A concatenation that is added to something: the first branch has all the low scores."""
    inputs = keras.Input((4, 4, 2))
    a, b = keras.layers.Conv2D(6, 1, name="a")(inputs), keras.layers.Conv2D(18, 1, name="b")(inputs)
    c = keras.layers.Conv2D(24, 1, name="c")(inputs)
    x = keras.layers.Add()([keras.layers.Concatenate()([a, b]), c])
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))

    class Position(slim.scoring.Criterion):
        def score(self, graph, data=None):
            return np.arange(graph.num_units)

    for min_units in (1, 3):
        guards = Guards(min_units=min_units, max_ratio=1.0, align=1)
        small = slim.prune(model, 0.5, criterion=Position(), debias="none", guards=guards)
        assert small.get_layer("a").filters == min_units
        assert small.get_layer("c").filters == 12


def select_by_saving(scores, savings, cost, power=1.0):
    """Returns which units are kept of two groups whose units save as much each, down to a cost."""
    group_of = np.repeat([0, 1], 10)
    savings = np.asarray(savings, float)[group_of]
    return select_weighed(
        np.asarray(scores, float),
        group_of,
        np.zeros(20, bool),
        lambda kept, sizes: kept,
        lambda keep: (savings * keep).sum(),
        cost,
        lambda keep: savings,
        power,
    )


def test_with_equal_scores_the_units_that_save_most_go_first():
    keep = select_by_saving(np.ones(20), [1, 3], cost=40 - 4 * 3)
    assert keep.tolist() == [True] * 10 + [False] * 4 + [True] * 6
    assert select_by_saving(np.ones(20), [3, 1], cost=40 - 4 * 3)[:4].tolist() == [False] * 4


def test_with_no_power_savings_do_not_matter():
    keep = select_by_saving([1] * 10 + [2] * 10, [1, 3], cost=40 - 4, power=0.0)
    assert keep.tolist() == [False] * 4 + [True] * 16


@pytest.mark.parametrize(("power", "first"), [(0.4, 0), (0.6, 1)])
def test_the_power_says_what_a_saving_counts_for(power, first):
    """Scores 1 and 2, savings 1 and 4: the second goes first when 4^power > 2."""
    keep = select_by_saving([1] * 10 + [2] * 10, [1, 4], cost=50 - 1, power=power)
    assert np.flatnonzero(~keep)[0] // 10 == first


def test_of_units_that_do_harm_the_one_that_saves_more_goes_first():
    keep = select_by_saving(-np.ones(20), [1, 3], cost=40 - 3)
    assert np.flatnonzero(~keep).tolist() == [10]


def test_a_unit_that_saves_nothing_stays():
    keep = select_by_saving([0.001] * 10 + [1] * 10, [0, 1], cost=0)
    assert keep.tolist() == [True] * 10 + [False] * 10


def equal_scores(weights):
    return np.ones(weights.shape[1])


def test_a_weighed_cut_takes_the_expensive_layer_and_its_counts_are_those_by_hand():
    """5 -> 20 -> 20 -> 100: a neuron of the first layer saves 25 multiply-accumulates, one of the second 120."""
    model = keras.Sequential([keras.Input((5,)), *map(keras.layers.Dense, (20, 20, 100))])
    options = {"criterion": equal_scores, "debias": "none", "guards": Guards(min_units=1, align=1)}
    total = 5 * 20 + 20 * 20 + 20 * 100
    plan = slim.plan_pruning(model, 5 * 120 / total, of=slim.pruning.Macs(weigh=1), **options)
    assert [len(group.kept_channels) for group in plan.groups] == [20, 15]
    assert plan.after.macs == 5 * 20 + 20 * 15 + 15 * 100 == total - 5 * 120
    plan = slim.plan_pruning(model, 5 * 120 / total, of="macs", **options)
    assert len(plan.groups[0].kept_channels) < 20


def test_savings_are_those_of_what_is_left():
    """10 -> 20 -> 20 -> 10: the layers are worth the same, and so they shrink together although scores are equal."""
    model = keras.Sequential([keras.Input((10,)), *map(keras.layers.Dense, (20, 20, 10))])
    options = {"criterion": equal_scores, "debias": "none", "guards": Guards(min_units=1, align=1)}
    plan = slim.plan_pruning(model, 0.5, of=slim.pruning.Params(weigh=1), **options)
    first, second = (len(group.kept_channels) for group in plan.groups)
    assert plan.after.params == 11 * first + (first + 1) * second + (second + 1) * 10 <= plan.before.params / 2
    assert min(first, second) > 5

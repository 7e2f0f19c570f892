import types

import hypothesis.strategies as st
import keras
import numpy as np
from hypothesis import given, settings

import keras_slim as slim
from keras_slim.pruning import Guards
from keras_slim.pruning.selection import protect, select


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

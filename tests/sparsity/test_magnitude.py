import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from keras_slim.sparsity import Block, Masks, NOfM, magnitude_masks


def named(pattern):
    return pattern if isinstance(pattern, str) else f"{type(pattern).__name__}{tuple(pattern.get_config().values())}"


FLOATS = st.floats(-10, 10, width=32) | st.integers(-3, 3).map(float)  # the integers make ties
KERNELS = st.dictionaries(
    st.sampled_from("abc"), arrays("float32", array_shapes(max_dims=4, max_side=5), elements=FLOATS), min_size=1
)
SHARES = st.floats(0, 1)


@given(weights=KERNELS, share=SHARES)
def test_the_number_that_goes_is_exact(weights, share):
    for path, mask in magnitude_masks(weights, share).items():
        assert (~mask).sum() == round(share * weights[path].size)
    assert (lambda masks: masks.size - masks.kept)(magnitude_masks(weights, share, scope="global")) == round(
        share * sum(weight.size for weight in weights.values())
    )


@given(weights=KERNELS, share=SHARES)
def test_no_weight_that_goes_is_larger_than_one_that_is_kept(weights, share):
    for path, mask in magnitude_masks(weights, share).items():
        size = np.abs(weights[path])
        assert size[~mask].max(initial=0) <= size[mask].min(initial=np.inf)


@given(weights=KERNELS, share=SHARES)
def test_a_global_ranking_is_one_ranking(weights, share):
    masks = magnitude_masks(weights, share, scope="global")
    size = np.concatenate([np.abs(weight).ravel() for weight in weights.values()])
    kept = np.concatenate([masks[path].ravel() for path in weights])
    assert size[~kept].max(initial=0) <= size[kept].min(initial=np.inf)


def test_the_largest_are_kept():
    weights = {"a": np.array([[1.0, -4.0], [3.0, -2.0]]), "b": np.array([9.0, -8.0, 7.0])}
    masks = magnitude_masks(weights, 0.5)
    np.testing.assert_array_equal(masks["a"], [[False, True], [True, False]])
    np.testing.assert_array_equal(masks["b"], [True, False, False])  # 1.5 is rounded to 2
    masks = magnitude_masks(weights, 3 / 7, scope="global")
    np.testing.assert_array_equal(masks["a"], [[False, True], [False, False]])
    assert masks["b"].all()


def test_the_ends():
    weights = {"a": np.arange(6.0)}
    assert magnitude_masks(weights, 0)["a"].all()
    assert not magnitude_masks(weights, 1)["a"].any()
    assert magnitude_masks({"a": np.zeros((0, 3))}, 0.5).size == 0


def test_a_dictionary_has_a_share_for_each_kernel():
    weights = {"a": np.arange(8.0), "b": np.arange(8.0)}
    masks = magnitude_masks(weights, {"a": 0.25, "b": 0.75})
    assert [int(mask.sum()) for mask in masks.values()] == [6, 2]


def test_variables_are_taken_and_left_alone():
    variable = keras.Variable(np.array([[1.0, -2.0]]), dtype="bfloat16")
    np.testing.assert_array_equal(magnitude_masks({"a": variable}, 0.5)["a"], [[False, True]])
    np.testing.assert_array_equal(variable.numpy().astype("float32"), [[1, -2]])


WITHIN = arrays(bool, (4, 6))


@pytest.mark.parametrize("pattern", ["single", Block(2, 3), Block(3, 1, "max"), NOfM(1, 4), NOfM(2, 3)], ids=named)
@pytest.mark.parametrize("scope", ["layer", "global"])
@settings(max_examples=30)
@given(weights=arrays("float32", (4, 6), elements=FLOATS), within=WITHIN, share=SHARES)
def test_what_is_gone_is_not_kept_again(pattern, scope, weights, within, share):
    mask = magnitude_masks({"a": weights}, share, scope, pattern, within=Masks({"a": within}))["a"]
    assert not mask[~within].any()


@given(weights=arrays("float32", (4, 6), elements=FLOATS), within=WITHIN, share=SHARES)
def test_what_is_gone_counts_among_what_goes(weights, within, share):
    mask = magnitude_masks({"a": weights}, share, within=Masks({"a": within}))["a"]
    assert (~mask).sum() == max(round(share * 24), (~within).sum())


@pytest.mark.parametrize("pattern", ["single", "n_of_m", NOfM(2, 3)], ids=named)
@settings(max_examples=30)
@given(weights=arrays("float32", (7, 5), elements=FLOATS), shares=st.lists(SHARES, min_size=2, max_size=4))
def test_many_small_steps_go_as_far_as_one(pattern, weights, shares):
    masks = None
    for share in sorted(shares):
        masks = magnitude_masks({"a": weights}, share, pattern=pattern, within=masks)
    assert masks.size - masks.kept == round(max(shares) * 35)


def test_of_blocks_that_have_lost_some_weights_the_rest_decides():
    weights, within = np.array([[9.0], [9.0], [1.0], [1.0]]), np.array([[0], [1], [1], [1]])
    mask = magnitude_masks({"a": weights}, 0.5, pattern=Block(2, 1), within=Masks({"a": within}))["a"]
    np.testing.assert_array_equal(mask.ravel(), [False, True, False, False])


def test_what_is_wrong_is_said():
    weights = {"a": np.arange(4.0), "b": np.arange(4.0)}
    with pytest.raises(ValueError, match=r"`scope` of `magnitude_masks`.*Did you mean 'global'\?"):
        magnitude_masks(weights, 0.5, scope="globl")
    with pytest.raises(ValueError, match=r"`pattern` of `magnitude_masks`.*Did you mean 'block'\?"):
        magnitude_masks(weights, 0.5, pattern="blok")
    with pytest.raises(ValueError, match=r"`sparsity` of `magnitude_masks`.*For 50 per cent, give 0\.5"):
        magnitude_masks(weights, 50)
    with pytest.raises(ValueError, match="one share for all kernels"):
        magnitude_masks(weights, {"a": 0.5, "b": 0.25}, scope="global")

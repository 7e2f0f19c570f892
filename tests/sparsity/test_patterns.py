import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from keras_slim.sparsity import Block, NOfM, Pattern, magnitude_masks
from keras_slim.sparsity.patterns import patterns


def named(pattern):
    return pattern if isinstance(pattern, str) else f"{type(pattern).__name__}{tuple(pattern.get_config().values())}"


FLOATS = st.floats(-10, 10, width=32) | st.integers(-3, 3).map(float)
WEIGHTS = arrays("float32", array_shapes(max_dims=4, max_side=9), elements=FLOATS)
SIDES = st.integers(1, 4)


def blocks(matrix, rows, columns):
    """All blocks of a matrix, by a loop."""
    corners = itertools.product(range(0, matrix.shape[0], rows), range(0, matrix.shape[1], columns))
    return [matrix[top : top + rows, left : left + columns] for top, left in corners]


@pytest.mark.parametrize("pooling", ["mean", "max"])
@settings(max_examples=50)
@given(weights=WEIGHTS, rows=SIDES, columns=SIDES, share=st.floats(0, 1))
def test_blocks_go_whole_and_in_order(pooling, weights, rows, columns, share):
    mask = magnitude_masks({"a": weights}, share, pattern=Block(rows, columns, pooling))["a"]
    flat = weights.reshape(-1, weights.shape[-1])
    pairs = list(zip(blocks(mask.reshape(flat.shape), rows, columns), blocks(np.abs(flat), rows, columns), strict=True))
    assert all(kept.all() or not kept.any() for kept, _ in pairs)
    assert sum(not kept.any() for kept, _ in pairs) == round(share * len(pairs))
    scores = [(kept.all(), getattr(np, pooling)(block, dtype="float64") if pooling == "mean" else block.max())
              for kept, block in pairs]  # fmt: skip
    lowest_kept = min((score for kept, score in scores if kept), default=np.inf)
    assert max((score for kept, score in scores if not kept), default=0) <= lowest_kept + 1e-5


def groups(weights, m):
    """All stretches of `m` along the inputs of each output unit, by a loop; the last one may be shorter."""
    matrix = weights.reshape(-1, weights.shape[-1])
    return [column[start : start + m] for column in matrix.T for start in range(0, len(column), m)]


@settings(max_examples=50)
@given(weights=WEIGHTS, n=st.integers(1, 4), more=st.integers(1, 4))
def test_at_most_n_of_each_m_are_kept(weights, n, more):
    pattern = NOfM(n, n + more)
    mask = magnitude_masks({"a": weights}, pattern.sparsity, pattern=pattern)["a"]
    assert max(group.sum() for group in groups(mask, pattern.m)) <= n
    assert (~mask).sum() == round(pattern.sparsity * weights.size)


@settings(max_examples=50)
@given(weights=WEIGHTS, n=st.integers(1, 4), more=st.integers(1, 4), share=st.floats(0, 1))
def test_in_each_group_the_largest_are_kept(weights, n, more, share):
    pattern = NOfM(n, n + more)
    mask = magnitude_masks({"a": weights}, share, pattern=pattern)["a"]
    for kept, group in zip(groups(mask, pattern.m), groups(np.abs(weights), pattern.m), strict=True):
        assert group[~kept].max(initial=0) <= group[kept].min(initial=np.inf)


@settings(max_examples=50)
@given(
    one=arrays("float32", (7, 3), elements=FLOATS),
    other=arrays("float32", (3, 3, 2, 5), elements=FLOATS),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30]),
)
def test_at_most_n_of_each_m_are_kept_when_all_kernels_are_ranked_together(one, other, scale):
    masks = magnitude_masks({"a": one, "b": scale * other}, 0.5, scope="global", pattern="n_of_m")
    assert max(group.sum() for mask in masks.values() for group in groups(mask, 4)) <= 2
    assert masks.kept == masks.size - round(0.5 * masks.size)


@settings(max_examples=50)
@given(weights=arrays("float32", (9, 4), elements=FLOATS), share=st.floats(0, 0.5))
def test_weights_go_evenly_from_all_groups(weights, share):
    """No group has lost two more than another of as many weights."""
    mask = magnitude_masks({"a": weights[:8]}, share, pattern=NOfM(2, 4))["a"]
    kept = [group.sum() for group in groups(mask, 4)]
    assert max(kept) - min(kept) <= 1


@pytest.mark.parametrize("pattern", ["single", Block(2, 3), NOfM(1, 3)], ids=named)
@settings(max_examples=20)
@given(weights=WEIGHTS)
def test_a_mask_has_the_shape_of_its_kernel(pattern, weights):
    assert magnitude_masks({"a": weights}, 0.5, pattern=pattern)["a"].shape == weights.shape


def test_the_sparsity_of_n_of_m():
    assert [NOfM(*pair).sparsity for pair in ((2, 4), (1, 4), (4, 5))] == [0.5, 0.75, pytest.approx(0.2)]
    assert Block().sparsity is None


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Block(rows=0), "rows"),
        (lambda: Block(columns=-1), "columns"),
        (lambda: Block(pooling="min"), "pooling"),
        (lambda: NOfM(m=1), "m"),
        (lambda: NOfM(0, 4), "n"),
        (lambda: NOfM(4, 4), "n"),
    ],
)
def test_an_argument_out_of_range_is_refused(make, name):
    with pytest.raises(ValueError, match=f"`{name}` of `(Block|NOfM)`"):
        make()


@pytest.mark.parametrize("pattern", ["single", "block", "n_of_m", Block(3, 2, "max"), NOfM(1, 3)], ids=named)
def test_config_survives_json(pattern):
    pattern = patterns.get(pattern, "pattern", "test")
    again = patterns.get(json.loads(json.dumps(patterns.serialize(pattern))), "pattern", "test")
    assert type(again) is type(pattern)
    assert vars(again) == vars(pattern)


def test_a_users_pattern_is_taken():
    class Columns(Pattern):
        """Removes whole columns."""

        def pool(self, magnitudes):
            return magnitudes.reshape(-1, magnitudes.shape[-1]).sum(0)

        def spread(self, kept, shape):
            return np.broadcast_to(kept, shape)

    mask = magnitude_masks({"a": np.array([[1.0, 5.0], [2.0, 4.0]])}, 0.5, pattern=Columns())["a"]
    np.testing.assert_array_equal(mask, [[False, True], [False, True]])

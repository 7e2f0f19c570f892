import pickle

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from keras_slim.errors import PlanMismatchError
from keras_slim.sparsity import Masks

MASKS = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
    arrays(bool, array_shapes(max_dims=4, max_side=5)),
    min_size=1,
    max_size=4,
).map(Masks)


@pytest.fixture
def model():
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="head")], name="net"
    )


@pytest.fixture
def masks():
    hidden = np.zeros((4, 3))
    hidden[:, 0] = 1
    return Masks({"net/hidden/kernel": hidden, "net/head/kernel": np.ones((3, 2), bool)})


def test_counts_are_those_of_all_kernels(masks):
    assert (masks.size, masks.kept, masks.sparsity) == (18, 10, pytest.approx(8 / 18))
    assert Masks({}).sparsity == 0
    assert masks.describe().splitlines() == [
        "net/hidden/kernel: 4 of 12 kept, sparsity 0.667",
        "net/head/kernel: 6 of 6 kept, sparsity 0.000",
        "all: 10 of 18 kept, sparsity 0.444",
    ]


@pytest.mark.parametrize("mask", [[0.5, 1], [2, 0], [-1, 1], ["a", "b"], [float("nan"), 1], [None, True]], ids=str)
def test_a_mask_is_of_zeros_and_ones(mask):
    with pytest.raises(ValueError, match="Invalid mask of 'net/kernel'. Expected booleans, or zeros and ones"):
        Masks({"net/kernel": mask})


def test_masks_do_not_change(masks):
    with pytest.raises(ValueError, match="read-only"):
        masks["net/head/kernel"][0, 0] = False
    given = np.ones(3)
    made = Masks({"a": given})
    given[:] = 0
    assert made.kept == 3
    flags = np.ones(3, bool)
    made = Masks({"a": flags})
    flags[:] = False
    assert made.kept == 3


def test_equal_masks_are_equal(masks):
    assert masks == Masks(dict(masks))
    assert masks != Masks({**masks, "net/head/kernel": np.zeros((3, 2))})
    assert masks != Masks({"net/head/kernel": masks["net/head/kernel"]})
    assert masks != dict(masks)


@settings(max_examples=40)
@given(masks=MASKS)
def test_arrays_of_plain_numbers_are_masks_again(masks):
    assert Masks.from_arrays(masks.to_arrays()) == masks


@settings(max_examples=40)
@given(masks=MASKS)
def test_a_pickle_is_masks_again(masks):
    assert pickle.loads(pickle.dumps(masks)) == masks


def test_a_file_is_masks_again(masks, tmp_path):
    masks.save(tmp_path / "masks.npz")
    assert Masks.load(tmp_path / "masks.npz") == masks
    for each in (Masks({}), Masks({"none": np.zeros((0, 3))})):
        each.save(tmp_path / "masks.npz")
        assert Masks.load(tmp_path / "masks.npz") == each


def test_a_file_that_holds_no_masks_is_refused(masks, tmp_path):
    for arrays_ in ({"weights": np.zeros(3)}, {"kernels": np.array(1)}):
        np.savez(tmp_path / "masks.npz", **arrays_)
        with pytest.raises(ValueError, match=r"not a file of `Masks`.*masks\.npz"):
            Masks.load(tmp_path / "masks.npz")


@pytest.mark.parametrize("lost", ["0/shape", "1/bits", "1/path"])
def test_a_file_of_masks_that_lacks_something_is_refused(masks, tmp_path, lost):
    found = masks.to_arrays()
    del found[lost]
    np.savez(tmp_path / "masks.npz", **found)
    with pytest.raises(ValueError, match=r"not a file of `Masks`.*masks\.npz"):
        Masks.load(tmp_path / "masks.npz")


def test_a_file_whose_parts_disagree_is_refused(masks, tmp_path):
    np.savez(tmp_path / "masks.npz", **{**masks.to_arrays(), "0/shape": np.array([400, 3])})
    with pytest.raises(ValueError, match=r"not a file of `Masks`.*masks\.npz"):
        Masks.load(tmp_path / "masks.npz")


def test_they_are_applied_to_the_kernels_alone(model, masks):
    model.get_layer("hidden").bias.assign([1, 2, 3])
    before = model.get_layer("hidden").kernel.numpy()
    masks.apply(model)
    after = model.get_layer("hidden").kernel.numpy()
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    assert not after[:, 1:].any()
    np.testing.assert_array_equal(model.get_layer("hidden").bias, [1, 2, 3])


def test_zeros_are_found_again(model, masks):
    masks.apply(model)
    assert Masks.nonzero(model) == masks
    assert list(Masks.nonzero(model, ["net/head/kernel"])) == ["net/head/kernel"]


def test_what_is_not_kept_is_zero_even_where_it_is_not_finite(model, masks):
    kernel = np.full((4, 3), np.nan)
    kernel[:, 0] = -1
    model.get_layer("hidden").kernel.assign(kernel)
    masks.apply(model)
    np.testing.assert_array_equal(model.get_layer("hidden").kernel, [[-1, 0, 0]] * 4)


def test_masks_for_another_model_change_nothing_and_are_told_all_that_differs(model, masks):
    wrong = Masks({**masks, "net/head/kernel": np.zeros((3, 5)), "net/tail/kernel": np.zeros((2, 2))})
    before = model.get_weights()
    with pytest.raises(PlanMismatchError) as caught:
        wrong.apply(model)
    assert "net/head/kernel: (3, 5) against (3, 2); net/tail/kernel: (2, 2) against no such kernel" in str(caught.value)
    assert "net/hidden/kernel" not in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@settings(max_examples=40)
@given(masks=MASKS, seed=st.integers(0, 2**32))
def test_shuffled_masks_keep_as_many_of_each_kernel(masks, seed):
    shuffled = masks.shuffled(seed)
    assert list(shuffled) == list(masks)
    for path, mask in masks.items():
        assert shuffled[path].shape == mask.shape
        assert shuffled[path].sum() == mask.sum()


def test_shuffling_depends_on_the_seed_alone():
    masks = Masks({"a": np.arange(100) < 50})
    assert masks.shuffled(1) == masks.shuffled(1)
    assert masks.shuffled(1) != masks.shuffled(2)
    assert masks.shuffled(1) != masks

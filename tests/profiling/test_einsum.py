import pytest

from keras_slim.profiling.einsum import einsum_products
from keras_slim.profiling.sizes import UnknownDimensionError


def test_products_are_all_labels_but_the_batch():
    assert einsum_products("bqhd,bkhd->bhqk", [(None, 5, 2, 8), (None, 7, 2, 8)]) == 5 * 2 * 8 * 7


def test_labels_can_be_left_out():
    assert einsum_products("abc,cd->abd", [(None, 5, 8)], without="cd") == 5


def test_an_ellipsis_stands_for_axes_and_may_hold_the_batch():
    assert einsum_products("...x,xy->...y", [(None, 5, 6, 8)], without="xy") == 5 * 6
    assert einsum_products("b...x,xy->b...y", [(None, 5, 6, 8)], without="xy") == 5 * 6


def test_axes_of_an_ellipsis_meet_from_the_right():
    assert einsum_products("...ij,...jk->...ik", [(None, 2, 3, 4), (2, 4, 5)]) == 2 * 3 * 4 * 5


def test_a_size_of_one_is_broadcast():
    assert einsum_products("bij,bjk->bik", [(None, 3, 1), (None, 4, 5)]) == 3 * 4 * 5
    assert einsum_products("bij, bjk -> bik", [(None, 3, 4), (None, 1, 5)]) == 3 * 4 * 5


def test_an_unknown_size_is_an_error_that_holds_the_shapes():
    with pytest.raises(UnknownDimensionError, match=r"\(None, None, 8\)"):
        einsum_products("abc,cd->abd", [(None, None, 8)], without="cd")

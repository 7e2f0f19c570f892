import pytest

from keras_slim.profiling.sizes import UnknownDimensionError, positions, size


def test_size_leaves_the_batch_out():
    assert size((None, 4, 5, 3)) == 4 * 5 * 3
    assert size((8, 4, 5, 3)) == 4 * 5 * 3
    assert size((None,)) == 1


def test_size_over_some_axes():
    assert size((None, 4, 5, 3), axes=(1, -1)) == 4 * 3
    assert size((None, 4, 5, 3), axes=()) == 1


def test_positions_leave_the_channels_out():
    assert positions((None, 4, 5, 3)) == 4 * 5
    assert positions((None, 3, 4, 5), "channels_first") == 4 * 5
    assert positions((None, 7)) == 1


def test_an_unknown_number_of_channels_does_not_matter():
    assert positions((None, 4, 5, None)) == 4 * 5


def test_an_unknown_dimension_is_an_error_that_holds_the_shape():
    with pytest.raises(UnknownDimensionError, match=r"^\(None, None, 5, 3\)$"):
        positions((None, None, 5, 3))

import numpy as np

from keras_slim.graph.channels import WHOLE, Channels


def test_an_axis_without_units_is_whole():
    channels = Channels((None, 4, 3), {2: np.array([5, 6, 7])})
    assert channels.along(1).tolist() == [WHOLE] * 4
    assert channels.along(-1).tolist() == [5, 6, 7]


def test_flat_agrees_with_numpy_flattening_of_every_position():
    units = np.array([10, 11, 12])
    shape = (None, 2, 3, 4)
    for axis, size in ((2, 3),):
        brute = np.array([[[units[index[axis - 1]]] for index in [(i, j, k)]] for i, j, k in np.ndindex(2, size, 4)])
        assert Channels(shape, {axis: units}).flat().tolist() == brute.ravel().tolist()


def test_flat_says_none_where_a_position_has_no_single_unit():
    units = np.arange(3)
    assert Channels((None, 3, 3), {1: units, 2: units}).flat() is None
    assert Channels((None, None, 3), {2: units}).flat() is None
    assert Channels((None, 2, 2)).flat().tolist() == [WHOLE] * 4

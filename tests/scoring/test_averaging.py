import numpy as np

from keras_slim.scoring.averaging import mean_by_unit


def test_each_unit_gets_the_mean_of_its_channels():
    pairs = [(np.array([0, 1, 1]), np.array([4.0, 1.0, 3.0])), (np.array([1, 2]), np.array([5.0, 7.0]))]
    np.testing.assert_array_equal(mean_by_unit(4, pairs), [4, (1 + 3 + 5) / 3, 7, 0])


def test_channels_of_no_unit_do_not_count():
    np.testing.assert_array_equal(mean_by_unit(2, [(np.array([-1, 0, -1]), np.array([9.0, 2.0, 9.0]))]), [2, 0])


def test_no_units_give_no_scores():
    assert mean_by_unit(0, []).shape == (0,)

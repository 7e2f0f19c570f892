import numpy as np
import pytest

from keras_slim.pruning import Guards


def test_the_floor_is_the_largest_of_all_guards_and_never_above_the_size():
    guards = Guards(min_units=3, max_ratio=0.8, max_ratio_per_round=0.5)
    assert guards.fewest([2, 10, 40]).tolist() == [2, 3, 8]
    assert guards.fewest([2, 10, 40], [2, 10, 100]).tolist() == [2, 5, 20]
    assert guards.fewest([12], [100]).tolist() == [12]


def test_shares_are_safe_from_rounding_errors():
    # 1 - 0.7 is 0.30000000000000004, whose tenfold would be rounded up to 4.
    assert Guards(min_units=1, max_ratio=0.7).fewest([10]).tolist() == [3]


def test_kept_units_are_rounded_up_except_where_nothing_could_be_lost():
    sizes = np.array([16, 16, 20, 20, 8])
    align = Guards(align=8).aligner(sizes)
    assert align(np.array([1, 8, 9, 17, 5]), sizes).tolist() == [8, 8, 16, 20, 5]


def test_a_group_that_was_cut_to_the_alignment_stays_aligned():
    assert Guards(align=8).aligner([16])(np.array([5]), np.array([8])).tolist() == [8]


def test_numbers_divide_into_the_parts_of_several_devices_small_groups_too():
    sizes = np.array([48, 48, 8])
    align = Guards(align=8).aligner(sizes, parts=[1, 3, 2])
    assert align(np.array([5, 5, 5]), sizes).tolist() == [8, 24, 6]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"min_units": 0}, ValueError),
        ({"min_units": 2.5}, TypeError),
        ({"max_ratio": 0}, ValueError),
        ({"max_ratio_per_round": 1.5}, ValueError),
        ({"align": 0}, ValueError),
    ],
)
def test_senseless_guards_are_refused_by_name(arguments, error):
    (name,) = arguments
    with pytest.raises(error, match=f"`{name}` of `Guards`"):
        Guards(**arguments)

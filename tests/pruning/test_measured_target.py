"""The search, against costs that are formulas, over selections of 1,000 units."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from keras_slim.pruning.measured_target import MOST_MEASUREMENTS, reach

UNITS = 1000


class Search:
    """Runs `reach` on a cost that is a function of the number of units, and counts the measurements."""

    def __init__(self, cost, target, tolerance=0.02, step=1, fewest=10):
        self.cost, self.step, self.fewest, self.measured = cost, step, fewest, []
        whole = np.ones(UNITS, bool)
        keep, self.found = reach(target, whole, cost(UNITS), self.choose, np.sum, self.measure, tolerance)
        self.kept = int(keep.sum())
        assert self.found == cost(self.kept)

    def choose(self, amount):
        kept = int(np.clip(amount // self.step * self.step, self.fewest, UNITS))
        return np.arange(UNITS) < kept

    def measure(self, keep):
        self.measured.append(int(keep.sum()))
        return self.cost(self.measured[-1])


def test_a_straight_line_is_met_with_the_second_measurement():
    search = Search(lambda units: 4000 + 4 * units, target=6000)
    assert 0.98 * 6000 <= search.found <= 6000
    assert len(search.measured) == 2


def test_a_cost_in_proportion_is_met_at_once():
    search = Search(lambda units: 3 * units, target=1500)
    assert 0.98 * 1500 <= search.found <= 1500
    assert len(search.measured) == 1


@given(
    power=st.floats(0.5, 3), overhead=st.floats(0, 0.6), ratio=st.floats(0.05, 0.95), step=st.sampled_from([1, 8, 50])
)
def test_any_curve_is_met_from_below_in_few_measurements(power, overhead, ratio, step):
    def cost(units):
        return overhead + (1 - overhead) * (units / UNITS) ** power

    target = 1 - ratio
    search = Search(cost, target, step=step)
    assert len(search.measured) <= MOST_MEASUREMENTS + 1
    deepest = cost(search.choose(0).sum())
    assert search.found <= max(target, deepest)
    wider = cost(min(UNITS, search.kept + step))
    assert search.kept == UNITS or search.found >= 0.9 * target or wider > target or search.found == deepest


def test_the_costs_of_different_widths_may_be_the_same():
    """57 to 64 channels take the same time."""
    search = Search(lambda units: -(-units // 64) * 64, target=512, tolerance=0.08)
    assert 448 <= search.found <= 512


def test_a_target_that_is_met_already_removes_nothing():
    search = Search(lambda units: units, target=2000)
    assert (search.kept, search.measured) == (UNITS, [])


@pytest.mark.parametrize("target", [0, 100])
def test_out_of_reach_the_deepest_selection_is_returned(target):
    search = Search(lambda units: 500 + units, target)
    assert search.kept == 10
    assert len(search.measured) <= 4


def test_a_measurement_that_goes_astray_does_not_end_above_the_target():
    rng = np.random.default_rng(0)
    for _ in range(50):
        noisy = {units: (0.3 + 0.7 * units / UNITS) * rng.normal(1, 0.05) for units in range(UNITS + 1)}
        search = Search(lambda units, noisy=noisy: noisy[units], target=0.6 * noisy[UNITS], tolerance=0.08)
        assert search.found <= 0.6 * noisy[UNITS]

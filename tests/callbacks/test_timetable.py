import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.callbacks.timetable import StepSchedule, Timetable, is_step_schedule
from keras_slim.schedules import Cubic, Linear

STEPS = st.integers(1, 60)


class Stairs:
    """What behaves like a `PruningSchedule`: `0.1` more at each turn."""

    def __init__(self, begin_step=2, end_step=9, frequency=3, of=lambda value: value):
        self.begin_step, self.end_step, self.frequency, self.of = begin_step, end_step, frequency, of

    def __call__(self, step):
        within = self.begin_step <= step and (step <= self.end_step or self.end_step < 0)
        is_due = within and (step - self.begin_step) % self.frequency == 0
        return self.of(is_due), self.of(0.1 * (1 + (step - self.begin_step) // self.frequency))


def test_turns_are_counted_from_the_begin_of_the_window_and_its_end_is_one():
    timetable = Timetable(Linear(), (0.1, 0.9), 3, 10)
    due = {step: timetable.due(step - 1, step) for step in range(11)}
    assert {step: way for step, way in due.items() if way is not None} == {1: 0, 4: 3 / 8, 7: 6 / 8, 9: 1}


@given(window=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted), frequency=STEPS, steps=STEPS, at_once=STEPS)
def test_the_end_is_reached_exactly_once_whatever_the_number_of_steps_in_a_call(window, frequency, steps, at_once):
    timetable = Timetable(Cubic(), window, frequency, steps)
    seen = [-1, 0, *range(at_once, steps, at_once), steps]
    ways = [timetable.due(*pair) for pair in itertools.pairwise(seen)]
    ways = [way for way in ways if way is not None]
    assert ways == sorted(ways)
    assert ways.count(1.0) == 1
    assert ways[-1] == 1.0
    assert timetable.is_over(steps)


def test_a_window_of_no_length_is_one_jump():
    timetable = Timetable(Linear(), (0.5, 0.5), 1, 10)
    assert [timetable.due(step - 1, step) for step in range(4, 8)] == [None, 1.0, None, None]


@pytest.mark.parametrize(
    "of", [lambda value: value, np.array, keras.ops.convert_to_tensor], ids=["plain", "array", "tensor"]
)
def test_a_step_schedule_is_asked_at_every_step(of):
    schedule = StepSchedule(Stairs(of=of))
    due = {step: schedule.due(step - 1, step) for step in range(12)}
    # At 9 the schedule itself does not prune; its end is honoured all the same.
    assert {step: way for step, way in due.items() if way is not None} == pytest.approx(
        {2: 0.1, 5: 0.2, 8: 0.3, 9: 0.3}
    )
    assert [schedule.is_over(step) for step in (8, 9)] == [False, True]
    assert schedule.final == pytest.approx(0.3)
    assert schedule.due(-1, 6) == pytest.approx(0.2)
    assert schedule.due(9, 100) is None


def test_a_step_schedule_without_an_end_goes_on():
    schedule = StepSchedule(Stairs(end_step=-1))
    assert schedule.due(98, 101) == pytest.approx(0.1 * 34)
    assert [schedule.is_over(step) for step in (1, 2)] == [False, True]


def test_a_number_in_single_precision_is_the_one_that_was_written():
    """0.8 in single precision is above 0.8, so that of many weights, one too many would go."""

    class Constant(Stairs):
        def __call__(self, step):
            return True, np.float32(0.8)

    assert StepSchedule(Constant()).final == 0.8


def test_what_is_a_step_schedule():
    assert is_step_schedule(Stairs())
    assert not any(map(is_step_schedule, (Stairs, "cubic", Linear(), Linear, lambda progress: progress, None, 3)))

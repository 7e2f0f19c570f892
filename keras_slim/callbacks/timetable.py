"""At which steps of a `fit` masks are made anew, and how far they go then.

Steps are counted from the first one of `fit`. Both classes answer the same two questions, so that it does not matter
which of them a callback asks: `due`, whether there is something to do, and `is_over`, whether all is done.
"""

import inspect

import keras
import numpy as np

from keras_slim.schedules import Schedule


class Timetable:
    """Every so many steps from the begin of a window, and at its end.

    Args:
        schedule: Turns progress in the window into the share of the way.
        window: Begin and end, as shares of all steps.
        frequency: Number of steps between.
        steps: Number of all steps.

    Example:

    >>> from keras_slim.schedules import Linear
    >>> timetable = Timetable(Linear(), (0.25, 0.75), 4, 20)
    >>> [timetable.due(step - 1, step) for step in (4, 5, 8, 9, 13, 14, 15, 16)]
    [None, 0.0, None, 0.4, 0.8, None, 1.0, None]
    """

    def __init__(self, schedule: Schedule, window: tuple[float, float], frequency: int, steps: int):
        self._schedule = schedule
        self._begin, self._end = (round(share * steps) for share in window)
        self._frequency = frequency

    def due(self, before: int, step: int) -> float | None:
        """Returns the share of the way to go at a step, or `None` if nothing has become due after step `before`."""
        if step < self._begin or self.is_over(before):
            return None
        if self.is_over(step):
            return 1.0
        if self._turn(before) == self._turn(step):
            return None
        return self._schedule((step - self._begin) / (self._end - self._begin))

    def is_over(self, step: int) -> bool:
        return step >= self._end

    def _turn(self, step):
        return (step - self._begin) // self._frequency


class StepSchedule:
    """A `PruningSchedule` of TensorFlow Model Optimization, or what behaves like it.

    Called with a step, it returns whether to prune then, and the sparsity. Where its last step is none of those at
    which it prunes, its last sparsity is due then all the same.

    Args:
        schedule: The schedule. Its `end_step` is negative if it has no end.
    """

    def __init__(self, schedule):
        self.schedule = schedule
        self._begin, self._end = int(schedule.begin_step), int(schedule.end_step)

    @property
    def final(self) -> float:
        """The sparsity in the end."""
        return _plain(self.schedule(np.int64(max(self._begin, self._end)))[1])

    def due(self, before: int, step: int) -> float | None:
        """Returns the sparsity to go to at a step, or `None` if nothing has become due after step `before`."""
        last = step if self._end < 0 else min(step, self._end)
        asked = [self._ask(each) for each in range(max(before + 1, self._begin), last + 1)]
        return next((sparsity for sparsity in reversed(asked) if sparsity is not None), None)

    def is_over(self, step: int) -> bool:
        return step >= max(self._begin, self._end)

    def _ask(self, step):
        is_due, sparsity = self.schedule(np.int64(step))
        return _plain(sparsity) if bool(is_due) or step == self._end else None


def is_step_schedule(schedule) -> bool:
    """Returns whether something is like a `PruningSchedule` of TensorFlow Model Optimization."""
    has_steps = all(hasattr(schedule, name) for name in ("begin_step", "end_step", "frequency"))
    return has_steps and callable(schedule) and not inspect.isclass(schedule) and not isinstance(schedule, Schedule)


def _plain(value):
    """Returns a number, tensors among them, as the float that is written alike: 0.8 for 0.8 in single precision."""
    return float(str(keras.ops.convert_to_numpy(value)))

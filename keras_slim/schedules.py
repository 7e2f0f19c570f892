"""How fast something goes from its beginning to its end: progress in time to share of the way.

A schedule knows neither epochs nor sparsities: it maps progress, from 0 to 1, to the share of the way that is behind,
from 0 to 1. `keras_slim.callbacks.GradualPruning(schedule=...)` takes its name, an instance, or a plain function of
progress.
"""

import abc
import math

from keras_slim.identifiers import Registry
from keras_slim.validation import check_positive

__all__ = ["Constant", "Cosine", "Cubic", "Linear", "Polynomial", "Schedule", "schedules"]


class Schedule(abc.ABC):
    """Maps progress to the share of the way that is behind; 1 at the end."""

    alias = None

    @abc.abstractmethod
    def __call__(self, progress: float) -> float:
        """Returns the share of the way that is behind, in [0, 1].

        Args:
            progress: Share of the time that is over, in [0, 1].
        """

    def get_config(self) -> dict:
        """Returns the constructor's arguments, as plain values."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Schedule":
        """Returns a schedule made with the arguments of `get_config`."""
        return cls(**config)


class FunctionSchedule(Schedule):
    """A user's function of progress as a schedule.

    Raises:
        ValueError: If it is not 1 at the end, or at some progress outside of [0, 1].
    """

    def __init__(self, function):
        self.function = function
        self.alias = getattr(function, "__name__", "function")
        if not math.isclose(end := self(1.0), 1):
            self._complain("1 at progress 1, the whole way", end)
        for tenth in range(10):
            self(tenth / 10)  # raises here what is wrong between

    def __call__(self, progress):
        way = float(self.function(progress))
        if not -1e-6 <= way <= 1 + 1e-6:
            self._complain(f"a share in [0, 1] at progress {progress:g}", way)
        return min(max(way, 0.0), 1.0)

    def _complain(self, expected, received):
        raise ValueError(
            f"The function `{self.alias}` is no schedule. Expected it to return {expected}. Received: {received}. "
            "Scale it, so that it goes from 0 to 1."
        )


schedules = Registry("schedule", Schedule, wrap_function=FunctionSchedule)


@schedules.register("constant")
class Constant(Schedule):
    """Goes the whole way at once, at the beginning.

    Example:

    >>> Constant()(0.0)
    1.0
    """

    def __call__(self, progress):
        return 1.0


@schedules.register("linear")
class Linear(Schedule):
    """Goes at the same speed all the time.

    Example:

    >>> Linear()(0.25)
    0.25
    """

    def __call__(self, progress):
        return float(progress)


@schedules.register("polynomial")
class Polynomial(Schedule):
    """Goes fast at first and slows down: `1 - (1 - progress)^power`.

    Args:
        power: A number above 0: 1 is linear, the higher the earlier; below 1 it speeds up instead.

    Raises:
        ValueError: If it is not above 0.

    Example:

    >>> Polynomial(2)(0.5)
    0.75
    """

    def __init__(self, power: float = 3.0):
        self.power = check_positive(power, "power", type(self).__name__)

    def __call__(self, progress):
        return 1 - (1 - progress) ** self.power

    def get_config(self):
        return {"power": self.power}


@schedules.register("cubic")
class Cubic(Schedule):
    """Goes fast while much is redundant, and slows down: `1 - (1 - progress)^3`.

    Reference:
        Zhu and Gupta 2017, "To prune, or not to prune: exploring the efficacy of pruning for model compression" (arXiv
        1710.01878), equation 1.

    Example:

    >>> Cubic()(0.5)
    0.875
    """

    def __call__(self, progress):
        return 1 - (1 - progress) ** 3


@schedules.register("cosine")
class Cosine(Schedule):
    """Sets out slowly and arrives slowly: `(1 - cos(pi * progress)) / 2`.

    Example:

    >>> round(Cosine()(0.5), 6)
    0.5
    """

    def __call__(self, progress):
        return (1 - math.cos(math.pi * progress)) / 2

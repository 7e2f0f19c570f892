"""The way a search went: every network it tried, how large that was, and whether it was good enough. Data only."""

from dataclasses import dataclass

from keras_slim.pruning.costs import Cost
from keras_slim.pruning.versioned_json import read_json, write_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class TrajectoryPoint:
    """One network that was tried.

    Args:
        epoch: The last epoch it was judged by, as in `history.epoch`.
        metric: The monitored value at the end of that epoch.
        held: Whether that was good enough.
        cost: Units, parameters and multiply-accumulates of the network.
        structure: Number of units of each layer.
    """

    epoch: int
    metric: float
    held: bool
    cost: Cost
    structure: dict[str, int]


@dataclass(frozen=True)
class Trajectory:
    """The networks that a search tried, in order.

    `keras_slim.reports.plot_trajectory` draws it.

    Args:
        monitor: Name of the metric.
        floor: The worst value that was good enough.
        points: One `TrajectoryPoint` for the dense network, and one for each cut.
    """

    monitor: str
    floor: float
    points: tuple[TrajectoryPoint, ...]

    @property
    def last_held(self) -> TrajectoryPoint:
        """The smallest network that was good enough: the one that the search ended with."""
        return [point for point in self.points if point.held][-1]

    def describe(self) -> str:
        """Returns the trajectory in words: a line for each network.

        Example:

        >>> dense = TrajectoryPoint(3, 0.91, True, Cost(32, 420, 352), {"hidden": 32})
        >>> print(Trajectory("val_accuracy", 0.9, (dense,)).describe())
        val_accuracy must not be worse than 0.9.
        units 32, params 420, macs 352: val_accuracy 0.91 in epoch 4, held
        """
        lines = [f"{self.monitor} must not be worse than {self.floor:.4g}."]
        for point in self.points:
            judged = f"{self.monitor} {point.metric:.4g} in epoch {point.epoch + 1}"
            lines.append(f"{point.cost.describe()}: {judged}, {'held' if point.held else 'not held'}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Returns the trajectory as JSON text."""
        return write_json(self, FORMAT_VERSION)

    @classmethod
    def from_json(cls, text: str) -> "Trajectory":
        """Returns the trajectory that `to_json` wrote.

        Raises:
            ValueError: If the text is no such trajectory, or of another version.
        """

        def make(data):
            points = tuple(TrajectoryPoint(**{**point, "cost": Cost(**point["cost"])}) for point in data["points"])
            return cls(data["monitor"], data["floor"], points)

        return read_json(text, FORMAT_VERSION, "trajectory", "Trajectory", make)

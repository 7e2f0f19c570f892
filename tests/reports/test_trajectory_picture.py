import dataclasses

import pytest

from keras_slim.pruning import Cost, Trajectory, TrajectoryPoint
from keras_slim.reports import plot_trajectory

DENSE = TrajectoryPoint(3, 0.91, True, Cost(32, 420, 3520), {"hidden": 32})
SMALL = TrajectoryPoint(5, 0.905, True, Cost(24, 310, 2600), {"hidden": 24})
FAILED = TrajectoryPoint(8, 0.88, False, Cost(18, 240, 1900), {"hidden": 18})
WAY = Trajectory("val_accuracy", 0.9, (DENSE, SMALL, FAILED))


def lines(figure):
    (axes,) = figure.axes
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_networks_by_size_and_metric_and_the_floor(tmp_path):
    figure = plot_trajectory(WAY)
    drawn = lines(figure)
    assert drawn["held"] == ([3520, 2600], [0.91, 0.905])
    assert drawn["given up"] == ([1900], [0.88])
    assert drawn["floor 0.9"][1] == [0.9, 0.9]
    assert figure.axes[0].get_title(loc="left") == "Validation accuracy"
    assert figure.axes[0].get_xlabel() == "multiply-accumulates"
    figure.savefig(tmp_path / "search.png")


def test_another_size_on_request():
    assert lines(plot_trajectory(WAY, of="units"))["held"][0] == [32, 24]


def test_what_is_not_known_is_not_drawn():
    point = dataclasses.replace(DENSE, cost=Cost(32, 420, None))
    way = Trajectory("val_loss", 0.9, (point,))
    assert set(lines(plot_trajectory(way))) == {"held", "floor 0.9"}
    assert lines(plot_trajectory(way))["held"][0] == [420]
    with pytest.raises(ValueError, match=r"`of` of `plot_trajectory`.*\['units', 'params'\].*of='macs'"):
        plot_trajectory(way, of="macs")

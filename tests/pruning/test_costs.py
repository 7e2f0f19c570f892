import keras
import numpy as np
import pytest
from model_zoo import perceptron, residual, sequential

from keras_slim.graph.analysis import analyse
from keras_slim.pruning.costs import Cost, CostModel, describe_change


def savings(model, of, removed=()):
    graph = analyse(model)
    keep = np.ones(graph.num_units, bool)
    keep[list(removed)] = False
    values = CostModel(graph).savings(of, keep)
    return [values[list(group.units)] for group in graph.groups]


def test_a_neuron_saves_its_weights_its_bias_and_those_that_read_it():
    """24 and 16 neurons between 6 inputs and 3 outputs."""
    assert [np.unique(each).tolist() for each in savings(perceptron(), "params")] == [[6 + 1 + 16], [24 + 1 + 3]]
    assert [np.unique(each).tolist() for each in savings(perceptron(), "macs")] == [[6 + 16], [24 + 3]]
    assert [np.unique(each).tolist() for each in savings(perceptron(), "units")] == [[1], [1]]


def test_what_a_neuron_saves_depends_on_what_is_gone_already():
    first, second = savings(perceptron(), "macs", removed=range(10))  # 14 of the first 24 are left
    assert np.unique(first).tolist() == [6 + 16]
    assert np.unique(second).tolist() == [14 + 3]


def test_a_filter_saves_at_every_position_and_wherever_it_is_flattened():
    """Convolutions of 16 and 24 filters on 8x8 and 2x2 positions, flattened into 20 neurons."""
    first, second, third = (np.unique(each).tolist() for each in savings(sequential(), "macs"))
    assert first == [8 * 8 * 9 * 2 + 2 * 2 * 9 * 24]
    assert second == [2 * 2 * 9 * 16 + 2 * 2 * 20]
    assert third == [2 * 2 * 24 + 4]


@pytest.mark.parametrize("of", ["params", "macs"])
@pytest.mark.parametrize("build", [perceptron, sequential, residual])
def test_savings_are_the_difference_that_one_unit_makes(build, of):
    """To first order: a kernel that a tied unit both reads and writes is counted once too often, at one entry."""
    graph = analyse(build())
    costs, every = CostModel(graph), np.ones(graph.num_units, bool)
    values = costs.savings(of, every)
    for unit in range(0, graph.num_units, 5):
        less = every.copy()
        less[unit] = False
        difference = getattr(costs.cost(every), of) - getattr(costs.cost(less), of)
        assert values[unit] == pytest.approx(difference, rel=0.05)


def test_units_of_one_group_may_save_differently():
    """A concatenation added to something: a unit of one branch is read from another input than one of the other."""
    inputs, wide = keras.Input((4,)), keras.Input((10,))
    branches = keras.layers.Concatenate()([keras.layers.Dense(3)(inputs), keras.layers.Dense(5)(wide)])
    total = keras.layers.Add()([branches, keras.layers.Dense(8)(inputs)])
    (values,) = savings(keras.Model([inputs, wide], keras.layers.Dense(2)(total)), "macs")
    assert values.tolist() == [4 + 4 + 2] * 3 + [10 + 4 + 2] * 5


def test_a_change_is_told_in_words_with_what_was_measured():
    before = Cost(units=8, params=90, macs=None, bytes=2000, latency=0.5)
    after = Cost(units=4, params=45, macs=None, bytes=1500, latency=0.25)
    assert describe_change(before, after) == (
        "units 8 -> 4 (-50.0%), params 90 -> 45 (-50.0%), macs unknown, bytes 2,000 -> 1,500 (-25.0%), "
        "latency 0.500 -> 0.250 ms (-50.0%)"
    )
    assert Cost(8, 90, 72).to_dict() == {"units": 8, "params": 90, "macs": 72}

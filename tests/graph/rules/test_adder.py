"""What is coupled around adder layers, and what is stated of how they read."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.graph import analyse
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D


def between(layer, shape, width=8):
    """Returns the graph of a model in which a layer reads the units of a dense one, and a dense one reads its own."""
    inputs = keras.Input(shape)
    x = layer(layers.Dense(width, name="first")(inputs))
    return analyse(keras.Model(inputs, layers.Dense(3, name="last")(layers.Flatten()(x))))


def sizes(graph):
    return {group.name: group.size for group in graph.groups}


READERS = {
    "conv2d": (lambda: AdderConv2D(4, 3, name="adder"), (5, 5, 2)),
    "conv1d": (lambda: AdderConv1D(4, 3, name="adder"), (5, 2)),
    "dense": (lambda: AdderDense(4, name="adder"), (2,)),
    "dense over steps": (lambda: AdderDense(4, name="adder"), (5, 2)),
}


@pytest.mark.parametrize("name", READERS)
def test_a_unit_is_a_filter_and_units_before_it_can_go(name):
    make, shape = READERS[name]
    assert sizes(between(make(), shape)) == {"first": 8, "adder": 4}


@pytest.mark.parametrize("name", READERS)
def test_what_it_reads_is_no_weighted_sum(name):
    make, shape = READERS[name]
    layer = make()
    graph = between(layer, shape)
    assert [reading.is_distance for reading in graph.readings if reading.variable is layer.kernel] == [True]
    assert {slot.role for slot in graph.slots if slot.variable is layer.kernel} == {"measures", "produces"}
    np.testing.assert_array_equal(graph.statistics[id(layer), 0, len(shape)], graph.groups[0].units)


def test_groups_lose_the_channels_at_equal_places():
    graph = between(AdderConv2D(6, 1, groups=2, name="adder"), (3, 3, 2))
    assert sizes(graph) == {"first": 4, "adder": 3}


def test_a_group_of_one_channel_is_a_unit_and_goes_whole():
    layer = AdderConv2D(16, 1, groups=8, name="adder")
    graph = between(layer, (3, 3, 2))
    assert sizes(graph) == {"first": 8}
    assert not graph.statistics


def test_a_depthwise_layer_keeps_the_units_of_its_input():
    graph = between(AdderDepthwiseConv2D(3, depth_multiplier=2, name="adder"), (5, 5, 2))
    assert sizes(graph) == {"first": 8}
    assert not graph.statistics


def test_inside_another_layer_its_inputs_are_left_whole():
    graph = between(layers.TimeDistributed(AdderDense(4), name="steps"), (5, 2))
    assert sizes(graph) == {"steps": 4}

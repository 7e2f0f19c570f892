import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.graph import analyse
from keras_slim.graph.rules.einsum_dense import axis_labels
from keras_slim.pruning.surgery import rebuild


def small_einsum(shape, keep, *args, **kwargs):
    """Returns the config and the weights' shapes of an `EinsumDense` after a cut."""
    inputs = keras.Input(shape)
    x = layers.EinsumDense(*args, **kwargs, name="einsum")(layers.Dense(4, name="before")(inputs))
    graph = analyse(keras.Model(inputs, layers.Dense(2)(x)))
    layer = rebuild(graph, np.array(keep, bool))[0].get_layer("einsum")
    return layer.get_config()["output_shape"], [tuple(weight.shape) for weight in layer.weights]


@pytest.mark.parametrize(
    ("term", "rank", "labels"), [("abc", 3, ["a", "b", "c"]), ("...x", 3, [0, 1, "x"]), ("ab...", 4, ["a", "b", 0, 1])]
)
def test_axis_labels(term, rank, labels):
    assert axis_labels(term, rank) == labels


@pytest.mark.parametrize(
    ("shape", "keep", "equation", "output_shape", "bias_axes", "cut_shape", "weights"),
    [
        ((5, 3), [1, 1, 0, 0, 1, 0, 1], "abc,cd->abd", (5, 3), "d", (5, 2), [(2, 2), (2,)]),
        ((5, 3), [1, 1, 0, 0, 1, 0, 1], "abc,cd->abd", (None, 3), "d", (None, 2), [(2, 2), (2,)]),
        ((5, 3), [1, 1, 0, 0, 1, 0, 1], "...c,cd->...d", (3,), "d", (2,), [(2, 2), (2,)]),
        ((5, 3), [1, 1, 1, 0], "abc,bc->abc", (5, 4), "c", (5, 3), [(5, 3), (3,)]),
        ((5, 3), [1, 1, 1, 0, 1, 0, 1], "abc,bcd->abd", (5, 3), "bd", (5, 2), [(5, 3, 2), (5, 2)]),
    ],
)
def test_entries_and_weights_are_cut_by_label(shape, keep, equation, output_shape, bias_axes, cut_shape, weights):
    assert small_einsum(shape, keep, equation, output_shape, bias_axes=bias_axes) == (cut_shape, weights)


def test_each_new_label_has_units_of_its_own():
    inputs = keras.Input((5, 3))
    x = layers.EinsumDense("abc,cde->abde", (5, 4, 6), name="first")(inputs)
    model = keras.Model(inputs, layers.EinsumDense("abde,def->abf", (5, 2))(x))
    assert [(group.name, group.size) for group in analyse(model).groups] == [("first:d", 4), ("first:e", 6)]


@pytest.mark.parametrize(
    ("equation", "output_shape", "activation", "reason"),
    [
        ("abc,bd->ad", (6,), None, "sums over them without a weight"),
        ("abc,cd->abd", (5, 6), "softmax", "'softmax' mixes the channels"),
    ],
)
def test_what_cannot_be_cut_is_whole(equation, output_shape, activation, reason):
    inputs = keras.Input((5, 3))
    x = layers.EinsumDense(equation, output_shape, activation=activation, name="einsum")(
        layers.Dense(4, name="before")(inputs)
    )
    graph = analyse(keras.Model(inputs, layers.Dense(2)(x)))
    assert len(graph.groups) == 1
    assert any(reason in str(whole) for whole in graph.whole)

import keras
import numpy as np
import pytest
from following import sizes, whole
from keras import layers, ops

from keras_slim.graph import analyse
from keras_slim.graph.nodes import walk
from keras_slim.graph.registry import find_rule
from keras_slim.graph.rules import operations_elementwise, operations_mixing
from keras_slim.pruning.surgery import rebuild


def operation_classes():
    """The classes behind `keras.ops` and `keras.activations`, by name."""
    found, stack = {}, [keras.Operation]
    while stack:
        each = stack.pop()
        stack += [] if each is keras.layers.Layer else each.__subclasses__()
        if each.__module__.startswith("keras."):
            found[each.__name__] = each
    return found


def test_the_operations_that_have_a_rule_by_name_exist_in_keras():
    named = {
        name
        for module in (operations_elementwise, operations_mixing)
        for table in vars(module).values()
        if isinstance(table, str) and table.startswith("\n")
        for name in table.split()
    }
    assert len(named) > 100
    assert named <= set(operation_classes())


def test_a_layer_is_not_taken_for_the_operation_of_the_same_name():
    class Tanh(keras.layers.Layer):
        pass

    Tanh.__module__ = "keras.src.layers"
    assert find_rule(Tanh()) is None
    softmax = operation_classes()["Softmax"]()
    assert find_rule(softmax) is operations_mixing.mixing
    assert find_rule(keras.layers.Softmax()) is not operations_mixing.mixing


PAIRS = [
    ops.add, ops.subtract, ops.multiply, ops.divide, ops.true_divide, ops.maximum, ops.minimum, ops.power, ops.mod,
    ops.floor_divide, ops.arctan2, ops.hypot, ops.logaddexp, ops.greater, ops.not_equal, ops.divide_no_nan,
    lambda x, y: ops.where(x > 0, y, x), lambda x, y: ops.select([x > 0, y > 0], [x, y], 0.5),
]  # fmt: skip


@pytest.mark.parametrize("combine", PAIRS)
def test_units_that_meet_go_together(combine):
    inputs = keras.Input((5, 4))
    x, y = layers.Dense(6, name="x")(inputs), layers.Dense(6, name="y")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(ops.cast(combine(x, y), "float32")))
    assert sizes(model) == {"x": 6}
    assert not whole(model)


def test_axes_are_aligned_at_their_last_and_size_one_is_broadcast():
    inputs, vector = keras.Input((5, 6, 4)), keras.Input((4,))
    x = layers.Dense(6, name="x")(inputs)
    fixed = keras.Input(batch_shape=(6, 4))
    y = layers.Dense(6, name="y")(fixed)  # (6, 6): its first axis meets a position, its last the units
    model = keras.Model([inputs, fixed], layers.Dense(2)(x + y))
    assert sizes(model) == {"x": 6}
    gate = layers.Dense(1, name="gate")(inputs)
    model = keras.Model([inputs, vector], layers.Dense(2)(x * gate))
    assert sizes(model) == {"x": 6}
    assert "broadcast" in whole(model)["gate"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + np.arange(8.0),
        lambda x: ops.subtract(keras.Variable(np.arange(8.0)), x),
        lambda x: ops.where(x > 0, np.arange(8.0), ops.convert_to_tensor([7.0])),
        lambda x: ops.select([x > 0], [np.arange(8.0)[None]], 1.5),
    ],
)
def test_a_constant_array_is_cut_along_the_units_it_meets(function):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(1)(function(layers.Dense(8, name="hidden")(inputs))))
    graph = analyse(model)
    small, _ = rebuild(graph, np.isin(np.arange(8), [0, 3]))
    assert small.layers[-1].input.shape[-1] == 2
    *_, node = walk(keras.Model(small.inputs, small.layers[-1].input))
    leaves = keras.tree.flatten(node.args)
    arrays = [np.asarray(leaf).ravel().tolist() for leaf in leaves if not isinstance(leaf, keras.KerasTensor)]
    assert [0.0, 3.0] in arrays
    assert all(len(array) in (1, 2) for array in arrays)

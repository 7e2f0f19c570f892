import keras
import numpy as np
import pytest
from following import check_moved, sizes, whole
from keras import layers, ops

from keras_slim.graph import analyse
from keras_slim.graph.channels import WHOLE
from keras_slim.pruning.surgery import rebuild

PARTS = {
    "slice": lambda x: x[..., 2:5],
    "slice from the end": lambda x: x[:, 1:, :, -4:-1],
    "slice in reverse": lambda x: x[..., ::-1],
    "slice elsewhere": lambda x: x[:, ::2, 1],
    "new axes": lambda x: x[:, None, ..., None],
    "dots in the middle": lambda x: x[:, 0, ..., 1:],
    "split": lambda x: ops.split(x, 3, axis=-1),
    "split at": lambda x: ops.split(x, [1, 4], axis=3),
    "split elsewhere": lambda x: ops.split(x, 2, axis=1),
    "array_split elsewhere": lambda x: ops.array_split(x, 3, axis=1),
    "unstack": lambda x: ops.unstack(x, axis=1),
    "take": lambda x: ops.take(x, [4, 0, 0, -1], axis=-1),
    "take elsewhere": lambda x: ops.take(x, np.array([[0, 3], [1, 1]]), axis=1),
    "take one elsewhere": lambda x: ops.take(x, 2, axis=2),
    "ops.slice": lambda x: ops.slice(x, (0, 1, 0, 2), (2, 3, 5, 3)),
    "concatenate": lambda x: ops.concatenate([x, -ops.ones_like(x[..., :2]), x[..., 1:]][::2], axis=-1),
    "concatenate elsewhere": lambda x: ops.concatenate([x, x], axis=1),
    "stack": lambda x: ops.stack([x, x], axis=-2),
    "stack behind": lambda x: ops.stack([x, x, x], axis=-1),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_units_are_found_where_the_operation_puts_them(part):
    check_moved(part)


def after_a_cut(function, kept=(0, 2, 3, 7)):
    """Returns what is computed of 8 units that put out their own number, after all but some are gone."""
    inputs = keras.Input((8,))
    x = layers.Dense(8, use_bias=False, name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False, name="head")(function(x)))
    model.get_layer("hidden").set_weights([np.eye(8)])
    graph = analyse(model)
    keep = np.ones(graph.num_units, bool)
    (units,) = (slot.units for slot in graph.slots if slot.layer.name == "hidden" and slot.role == "produces")
    keep[units[units != WHOLE]] = np.isin(np.flatnonzero(units != WHOLE), kept)
    small, _ = rebuild(graph, keep)
    hidden = keras.Model(small.input, small.get_layer("head").input)
    return np.asarray(hidden(np.arange(8.0).reshape(1, 8)))[0].tolist()


def test_slices_and_positions_are_counted_anew():
    assert after_a_cut(lambda x: x[:, 1:4]) == [2, 3]
    assert after_a_cut(lambda x: x[:, :-4]) == [0, 2, 3]
    assert after_a_cut(lambda x: x[:, -6:]) == [2, 3, 7]
    assert after_a_cut(lambda x: x[:, ::-1]) == [7, 3, 2, 0]
    assert after_a_cut(lambda x: ops.take(x, [7, 1, 3, -6, 3], axis=-1)) == [7, 3, 2, 3]
    assert after_a_cut(lambda x: ops.slice(x, (0, 3), (-1, 5))) == [3, 7]
    assert after_a_cut(lambda x: ops.slice(x, (0, 3), (-1, -1))) == [3, 7]
    assert after_a_cut(lambda x: ops.split(x, [1, 3], axis=-1)[1]) == [2]
    assert after_a_cut(lambda x: ops.concatenate(ops.split(x, 2, axis=1)[::-1], axis=1)) == [7, 0, 2, 3]
    assert after_a_cut(lambda x: ops.concatenate([x, x[:, 2][:, None]], axis=1)) == [0, 2, 3, 7, 2]
    assert after_a_cut(lambda x: ops.concatenate([x, ops.take(x, 7, axis=1)[:, None]], axis=1)) == [0, 2, 3, 7, 7]
    assert after_a_cut(lambda x: x + np.arange(0.0, 80.0, 10.0)) == [0, 22, 33, 77]
    assert after_a_cut(lambda x: ops.concatenate([x, np.array([[5.0]])], axis=1)) == [0, 2, 3, 7, 5]


def test_parts_may_lose_unequal_shares():
    inputs = keras.Input((4,))
    left, right = ops.split(layers.Dense(8, name="hidden")(inputs), 2, axis=-1)
    model = keras.Model(inputs, layers.Dense(2)(ops.concatenate([ops.tanh(left), ops.relu(right)], axis=-1)))
    assert sizes(model) == {"hidden": 8}
    gated = keras.Model(inputs, layers.Dense(2)(left * ops.sigmoid(right)))
    assert sizes(gated) == {"hidden": 4}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x[:, ::2], "every so many"),
        (lambda x: ops.array_split(x, 3, axis=-1)[0], "divided evenly"),
        (lambda x: ops.take(x, [[0, 1], [2, 3]], axis=-1)[:, 0], "several axes"),
        (lambda x: ops.take(x, ops.argmax(x), axis=-1)[:, None], "which elements"),
    ],
)
def test_what_cannot_be_followed_is_named(function, reason):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(function(layers.Dense(8, name="hidden")(inputs))))
    assert sizes(model) == {}
    assert reason in whole(model)["hidden"]


def test_units_are_tied_along_the_axes_that_are_not_joined():
    inputs = keras.Input((3, 4))
    a, b, c = (layers.Dense(6, name=name)(inputs) for name in "abc")
    x = ops.concatenate([ops.stack([a, b], axis=1), c[:, None] * np.ones((1, 1, 3, 6), "float32")], axis=1)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert sizes(model) == {"a": 6}

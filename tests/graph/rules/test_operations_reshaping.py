import keras
import numpy as np
import pytest
from following import check_moved, sizes, whole
from keras import layers, ops

import keras_slim as slim
from keras_slim.pruning import Guards

LOOSE = Guards(min_units=1, max_ratio=0.9, align=1)

MOVES = {
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "moveaxis": lambda x: ops.moveaxis(x, [-1, 1], [1, 2]),
    "swapaxes": lambda x: ops.swapaxes(x, -1, 2),
    "Permute": lambda x: layers.Permute((3, 1, 2))(x),
    "squeeze": lambda x: ops.squeeze(x[:, :1], axis=1),
    "squeeze all": lambda x: ops.squeeze(x[:, :1, 1:2]),
    "expand_dims": lambda x: ops.expand_dims(x, (1, -1)),
    "expand_dims in front": lambda x: ops.expand_dims(x, 0),
    "flip": lambda x: ops.flip(x, axis=(1, -1)),
    "flip all": lambda x: ops.flip(x),
    "repeat": lambda x: ops.repeat(x, 3, axis=-1),
    "repeat elsewhere": lambda x: ops.repeat(x, [1, 0, 2, 1], axis=1),
    "tile": lambda x: ops.tile(x, (2, 2)),
    "tile to a higher rank": lambda x: ops.tile(x, (2, 1, 1, 1, 3)),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0), (2, 1)), constant_values=-1)[:, 1:-2],
    "broadcast_to": lambda x: ops.broadcast_to(x[:, :1], (2, 3, 5, 6)),
    "Flatten": lambda x: layers.Flatten()(x),
    "Flatten channels first": lambda x: layers.Flatten(data_format="channels_first")(x),
    "reshape to merge": lambda x: ops.reshape(x, (-1, 4, 30)),
    "reshape elsewhere": lambda x: ops.reshape(x, (-1, 10, 2, 6)),
    "reshape with ones": lambda x: ops.reshape(x, (-1, 1, 20, 1, 6, 1)),
    "Reshape layer": lambda x: layers.Reshape((20, -1))(x),
    "merged, then divided in its old place": lambda x: ops.reshape(ops.reshape(x, (-1, 4, 30)), (-1, 4, 5, 6)),
    "divided again along an axis that is not the last": lambda x: ops.reshape(
        ops.reshape(ops.swapaxes(x, 2, 3), (-1, 4, 30)), (-1, 4, 6, 5)
    ),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_units_are_found_where_the_operation_puts_them(move):
    check_moved(move)


def test_a_vector_is_repeated_along_a_new_axis():
    check_moved(layers.RepeatVector(3), shape=(4,))


def test_units_that_come_to_lie_along_several_axes_are_tied_along_all_but_the_last():
    """Of the 6 channels, positions 0 and 4, 1 and 5 (and so on, four apart) lie in one column: 0=4=2, 1=5=3."""
    inputs = keras.Input((4, 3))
    x = ops.reshape(layers.Dense(6, name="hidden")(inputs), (-1, 6, 4))
    assert sizes(keras.Model(inputs, layers.Dense(2)(x))) == {"hidden": 2}


def channel_shuffle(groups):
    inputs = keras.Input((3, 3, 2))
    x = layers.Conv2D(12, 1, name="conv")(inputs)
    x = ops.transpose(ops.reshape(x, (-1, 3, 3, groups, 12 // groups)), (0, 1, 2, 4, 3))
    return keras.Model(inputs, layers.Conv2D(2, 1)(ops.reshape(x, (-1, 3, 3, 12))))


@pytest.mark.parametrize("groups", [1, 2, 3, 12])
def test_a_channel_shuffle_ties_the_channels_at_one_place_in_each_group(groups):
    model = channel_shuffle(groups)
    assert sizes(model) == {"conv": 12 // groups if groups < 12 else 12}  # groups of one channel stay as they are


def test_a_channel_shuffle_is_shuffled_alike_after_a_cut():
    model = channel_shuffle(3)
    small = slim.prune(model, 0.5, guards=LOOSE)
    assert small.get_layer("conv").filters == 6
    reshapes = [operation.newshape for operation in small.operations if type(operation).__name__ == "Reshape"]
    assert reshapes == [(-1, 3, 3, 3, 2), (-1, 3, 3, 6)]


def test_of_two_axes_with_units_that_are_merged_the_last_keeps_them():
    inputs = keras.Input((5, 4))
    x = layers.Permute((2, 1))(layers.Dense(8, name="first")(inputs))
    x = layers.Flatten()(layers.Dense(7, name="second")(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert sizes(model) == {"second": 7}
    assert "merged with another axis" in whole(model)["first"]


def test_what_is_merged_with_the_batch_stays_whole():
    inputs = keras.Input((5, 4))
    x = layers.Dense(8, name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(ops.reshape(x, (-1, 8))))
    assert sizes(model) == {"hidden": 8}
    model = keras.Model(inputs, layers.Dense(2)(ops.reshape(x, (-1, 20))))
    assert sizes(model) == {}
    assert "unknown size" in whole(model)["hidden"]


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_channels_that_are_reflected_into_the_padding_stay_whole(mode):
    inputs = keras.Input((5, 4))
    x = layers.Dense(8, name="hidden")(inputs)
    elsewhere = keras.Model(inputs, layers.Dense(2)(ops.pad(x, ((0, 0), (1, 1), (0, 0)), mode=mode)))
    assert sizes(elsewhere) == {"hidden": 8}
    model = keras.Model(inputs, layers.Dense(2)(ops.pad(x, ((0, 0), (0, 0), (1, 1)), mode=mode)))
    assert mode in whole(model)["hidden"]


def test_channels_repeated_unlike_each_other_stay_whole():
    inputs = keras.Input((4,))
    x = ops.repeat(layers.Dense(3, name="hidden")(inputs), [1, 2, 3], axis=-1)
    assert "unlike" in whole(keras.Model(inputs, layers.Dense(2)(x)))["hidden"]


def test_a_reshape_layer_on_units_and_on_none_keeps_the_units_whole():
    """The layer is copied once, so its shape must fit both calls."""
    inputs, other = keras.Input((5, 4)), keras.Input((5, 6))
    reshape = layers.Reshape((5, 1, 6))
    x = layers.Concatenate()([reshape(layers.Dense(6, name="hidden")(inputs)), reshape(other)])
    model = keras.Model([inputs, other], layers.Dense(2)(x))
    assert sizes(model) == {}


def test_an_inner_model_on_units_and_on_none_keeps_the_units_whole():
    """Found by random graphs: the second call said nothing of the sizes that the first had tied to units."""
    inner_inputs = keras.Input((3, 6))
    inner = keras.Model(inner_inputs, ops.swapaxes(ops.reshape(inner_inputs, (-1, 3, 1, 6)), 2, 3)[..., 0])
    inputs, other = keras.Input((3, 4)), keras.Input((3, 6))
    for first, second in ([0, 1], [1, 0]):
        tensors = [layers.Dense(6, name="hidden")(inputs), other]
        x = layers.Concatenate()([inner(tensors[first]), inner(tensors[second])])
        assert sizes(keras.Model([inputs, other], layers.Dense(2)(x))) == {}


def test_an_operation_made_from_an_array_is_called_again_as_it_is():
    inputs = keras.Input((4,))
    x = ops.clip(layers.Dense(5, name="hidden")(inputs), np.zeros(5), np.linspace(1, 2, 5))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(8, name="after")(x)))
    assert "cannot copy" in whole(model)["hidden"]
    assert sizes(model) == {"after": 8}
    small = slim.prune(model, 0.5, guards=LOOSE)
    assert small.get_layer("after").units == 4
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(small(x), slim.mask(model, slim.plan_pruning(model, 0.5, guards=LOOSE))(x), atol=1e-6)

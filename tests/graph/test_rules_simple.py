"""Pooling, blocks of pixels, joining, dividing, turning and image operations, and layers in a pipeline."""

import keras
import numpy as np
import pytest
from following import check_moved, sizes, traced, whole
from keras import layers, ops

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.surgery import rebuild, silence

FIRST = {"data_format": "channels_first"}


def model_of(function, units=4, shape=(6, 6, 3)):
    """Returns a model in which a function stands between a layer named `hidden` and what reads it."""
    inputs = keras.Input(shape)
    x = layers.Dense(units, name="hidden")(inputs)
    outputs = keras.tree.flatten(function(x))
    return keras.Model(inputs, [layers.Dense(2)(each) for each in outputs])


def check_law(model, removed=1):
    """Checks that the masked model answers as the shrunken one, and the model itself as its copy."""
    graph = analyse(model)
    x = np.random.default_rng(0).normal(size=(2, *model.inputs[0].shape[1:])).astype("float32")
    keep = np.arange(graph.num_units) % (removed + 1) == 0
    whole_copy = rebuild(graph, np.ones(graph.num_units, bool))[0]
    models = [rebuild(graph, keep)[0], silence(graph, keep)[0], whole_copy, model]
    small, masked, same, before = (keras.tree.flatten(each(x, training=False)) for each in models)
    for one, other in zip([*small, *same], [*masked, *before], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


MOVES = {
    "append": lambda x: ops.append(x, x, axis=-1),
    "hstack": lambda x: ops.hstack([x, x]),
    "dstack": lambda x: ops.dstack([x[:, 0], x[:, 1]]),
    "vstack": lambda x: ops.vstack([x, x]),
    "fliplr": lambda x: ops.fliplr(ops.swapaxes(x, 1, -1)),
    "flipud": ops.flipud,
    **{f"rot90 {k}": lambda x, k=k: ops.rot90(x, k, axes=(1, 3)) for k in (-1, 1, 3)},
    **{f"rot90 {k} back": lambda x, k=k: ops.rot90(x, k, axes=(-1, 2)) for k in (1, 3)},
    "rot90 elsewhere": lambda x: ops.rot90(x, axes=(1, 2)),
    "hsplit": lambda x: ops.hsplit(ops.swapaxes(x, 1, -1), 2),
    "dsplit": lambda x: ops.dsplit(ops.swapaxes(x, 2, -1), [1, 4]),
    "space_to_depth": lambda x: ops.space_to_depth(x[:, :, :4], 2),
    "space_to_depth first": lambda x: ops.space_to_depth(ops.transpose(x[:, :, :4], (0, 3, 1, 2)), 2, **FIRST),
    "extract_patches": lambda x: ops.image.extract_patches(x, (2, 3)),
    "extract_patches_3d": lambda x: ops.image.extract_patches_3d(ops.repeat(x[:, None], 2, axis=1), 2),
    "unfold": lambda x: ops.unfold(ops.transpose(x, (0, 3, 1, 2)), 2),
    "empty_like": lambda x: x + ops.zeros_like(ops.empty_like(x)),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_units_are_found_where_the_operation_puts_them(move):
    check_moved(move)


def test_patches_are_laid_out_alike_where_channels_come_first():
    """Without oneDNN, TensorFlow cannot compute them there on a CPU."""
    (last,) = traced(lambda x: ops.image.extract_patches(x, (2, 3)))
    (first,) = traced(lambda x: ops.image.extract_patches(ops.transpose(x, (0, 3, 1, 2)), (2, 3), **FIRST))
    np.testing.assert_array_equal(first.axes[1], last.axes[3])
    assert list(first.axes) == [1]


FUNCTIONS = {
    "max_pool": lambda x: ops.max_pool(x, 2),
    "average_pool": lambda x: ops.average_pool(x, 2, padding="same"),
    "adaptive_max_pool": lambda x: ops.adaptive_max_pool(x, (2, 3)),
    "adaptive_average_pool": lambda x: ops.adaptive_average_pool(x, (2, 3)),
    "space_to_depth": lambda x: ops.space_to_depth(x, 3),
    "extract_patches": lambda x: ops.image.extract_patches(x, 2, strides=1, padding="same"),
    "append": lambda x: ops.append(x, x * np.arange(4, dtype="float32"), axis=1),
    "hsplit": lambda x: ops.transpose(ops.hsplit(ops.transpose(x, (0, 3, 1, 2)), [1])[1], (0, 2, 3, 1)),
    "gaussian_blur": ops.image.gaussian_blur,
    "sobel_edges": lambda x: ops.image.sobel_edges(x)[..., 0],
    "affine_transform": lambda x: ops.image.affine_transform(x, np.float32([1, 0.2, 0, 0, 1, 0, 0, 0])),
    **{
        type(layer).__name__: layers.Pipeline([layer])  # where alone, Keras takes some for a cycle
        for layer in (  # others have the same rule, and take long to trace
            layers.RandomBrightness(0.1),
            layers.RandomContrast(0.1),
            layers.RandomInvert(0.1),
            layers.RandomSharpness(0.1),
            layers.AutoContrast(),
            layers.MixUp(),
        )
    },
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_unit_can_go_and_the_masked_model_answers_as_the_shrunken_one(function):
    model = model_of(function)
    assert sizes(model) == {"hidden": 4}
    check_law(model)


SCALE = [0.5, 1.0, 2.0, 3.0]
RESCALINGS = {
    "lists": lambda: layers.Rescaling(SCALE, SCALE[::-1]),
    "arrays": lambda: layers.Rescaling(np.array(SCALE), np.array([SCALE, SCALE, SCALE, SCALE, SCALE, SCALE])),
    "one": lambda: layers.Rescaling([2.0], [[0.1]]),
    "inside": lambda: layers.TimeDistributed(layers.Rescaling(np.array(SCALE), SCALE)),
}


@pytest.mark.parametrize("make", RESCALINGS.values(), ids=RESCALINGS)
def test_factors_in_the_config_are_cut_with_their_channels(make):
    model = model_of(make())
    assert sizes(model) == {"hidden": 4}
    check_law(model)


def test_factors_for_channels_at_two_places_tie_them():
    inputs, rescaling = keras.Input((5,)), layers.Rescaling(SCALE)
    outputs = [rescaling(layers.Dense(4, name=name)(inputs)) for name in "ab"]
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(outputs)))
    assert sizes(model) == {"a": 4}
    check_law(model)


def test_factors_keep_channels_whole_where_these_come_first(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    assert "come first" in whole(model_of(layers.Rescaling(SCALE)))["hidden"]


@pytest.mark.parametrize(("units", "left"), [(8, 2), (12, 3)])
def test_channels_that_become_one_block_of_pixels_go_together(units, left):
    model = model_of(lambda x: ops.depth_to_space(x, 2), units)
    assert sizes(model) == {"hidden": left}
    check_law(model)


def test_channels_that_become_a_block_may_come_first():
    def function(x):
        x = ops.depth_to_space(ops.transpose(x, (0, 3, 1, 2)), 2, **FIRST)
        return ops.transpose(x, (0, 2, 3, 1))

    model = model_of(function, 12)
    assert sizes(model) == {"hidden": 3}
    check_law(model)


def test_channels_that_are_folded_into_a_patch_go_together():
    """Of 8 rows the first 4 are the pixels of one channel."""

    def function(x):
        x = ops.transpose(ops.reshape(x, (-1, 1, 8)), (0, 2, 1))
        return ops.transpose(ops.fold(x, (2, 2), 2), (0, 2, 3, 1))

    model = model_of(function, 8, (1, 1, 3))
    assert sizes(model) == {"hidden": 2}
    check_law(model)


def test_what_is_joined_without_an_axis_stays_whole():
    inputs = keras.Input((4,), batch_size=2)
    x = ops.append(layers.Dense(6, name="hidden")(inputs), np.ones(3, "float32"))
    assert "joined along an axis" in whole(keras.Model(inputs, layers.Dense(2)(ops.reshape(x, (3, 5)))))["hidden"]


def test_units_in_a_plane_that_is_turned_upside_down_stay_whole():
    model = model_of(lambda x: ops.rot90(x, 2, axes=(1, 3)), 6)
    assert "wrongly" in whole(model)["hidden"]
    assert sizes(model_of(lambda x: ops.rot90(x, 2, axes=(1, 2)))) == {"hidden": 4}


def test_auto_contrast_keeps_channels_whole_where_they_come_first():
    inputs = keras.Input((3, 6, 6))
    x = layers.AutoContrast(**FIRST)(layers.Conv2D(6, 1, name="hidden", **FIRST)(inputs))
    assert "come first" in whole(keras.Model(inputs, layers.Conv2D(2, 1, **FIRST)(x)))["hidden"]


def test_a_transformation_that_is_computed_keeps_both_whole():
    inputs = keras.Input((6, 6, 3))
    transform = layers.Dense(8, name="transform")(layers.GlobalAveragePooling2D()(inputs))
    x = ops.image.affine_transform(layers.Conv2D(6, 1, name="hidden")(inputs), transform)
    reasons = whole(keras.Model(inputs, layers.Conv2D(2, 1)(x)))
    assert "computed" in reasons["hidden"]
    assert "computed" in reasons["transform"]


def test_layers_in_a_pipeline_hand_units_on_and_have_units_of_their_own():
    inside = [layers.ReLU(), layers.Dense(8), layers.RandomFlip(), layers.Dense(6, "relu")]
    model = model_of(layers.Pipeline(inside, name="pipeline"))
    assert sizes(model) == {"hidden": 4, "pipeline:layers/1": 8, "pipeline": 6}
    check_law(model)


def test_only_the_first_layer_of_a_pipeline_reads_what_goes_into_it():
    """A reading of the third layer would have to be taken behind the second."""
    model = model_of(layers.Pipeline([layers.Dense(8), layers.ReLU(), layers.Dense(6)], name="pipeline"))
    first, third = (model.get_layer("pipeline").layers[index].kernel for index in (0, 2))
    read = {id(reading.variable) for reading in analyse(model).readings}
    assert id(first) in read
    assert id(third) not in read
    model = model_of(layers.Pipeline([layers.ReLU(), layers.Dense(6)], name="pipeline"))
    kernel = model.get_layer("pipeline").layers[1].kernel
    assert id(kernel) not in {id(each.variable) for each in analyse(model).readings}


def test_a_plan_tells_where_rules_are_explained_if_one_is_missing():
    text = slim.plan_pruning(model_of(layers.SpectralNormalization(layers.Dense(4))), 0).describe()
    assert "SpectralNormalization has no rule: it divides the kernel by a norm" in text
    assert "docs/custom-layers.md" in text
    assert "docs/custom-layers.md" not in slim.plan_pruning(model_of(ops.relu), 0).describe()

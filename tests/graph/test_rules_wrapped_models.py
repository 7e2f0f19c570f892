"""Models inside layers: `TimeDistributed` and `Pipeline` around a model."""

import keras
import numpy as np
import pytest
from following import sizes, whole
from keras import layers, ops
from laws import check_law

import keras_slim as slim
from keras_slim.graph import analyse

LOOSE = slim.pruning.Guards(min_units=1, max_ratio=0.9, align=1)


def functional(channels):
    """Returns a residual network that sees one image at a time."""
    inputs = keras.Input((6, 6, channels))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = x + layers.Conv2D(8, 1, name="branch")(ops.relu(layers.BatchNormalization()(x)))
    x = ops.reshape(layers.MaxPooling2D()(x), (-1, 9 * 8))
    return keras.Model(inputs, layers.Dense(5, "relu", name="features")(x), name="inner")


def sequential(channels):
    return keras.Sequential(
        [
            keras.Input((6, 6, channels)),
            layers.Conv2D(8, 3, name="stem"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="features"),
        ]
    )


def sequential_without_input(channels):
    model = keras.Sequential(sequential(channels).layers)
    model.build((None, 6, 6, channels))
    return model


def nested(channels):
    inputs = keras.Input((6, 6, channels))
    return keras.Model(inputs, layers.Dense(4, name="last")(functional(channels)(inputs)))


def video(inner):
    """Returns a model that looks at each of four images with units of its own, and then at all."""
    inputs = keras.Input((4, 6, 6, 3))
    x = layers.Conv3D(6, 1, name="first")(inputs)
    x = layers.TimeDistributed(inner(6), name="steps")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.LSTM(7, name="over")(x)))


EXPECTED = {
    functional: {"first": 6, "steps:stem": 8, "steps:features": 5, "over": 7},
    sequential: {"first": 6, "steps:stem": 8, "steps:features": 5, "over": 7},
    sequential_without_input: {"first": 6, "steps:stem": 8, "steps:features": 5, "over": 7},
    nested: {"first": 6, "steps:inner/stem": 8, "steps:inner/features": 5, "steps:last": 4, "over": 7},
}


@pytest.mark.parametrize("inner", EXPECTED)
def test_units_of_a_model_that_sees_one_step_at_a_time_can_go(inner):
    model = video(inner)
    assert sizes(model) == EXPECTED[inner]
    check_law(model)


def test_a_cut_with_data_and_a_saved_file_answer_as_the_masked_model(tmp_path):
    model = video(functional)
    x = np.random.default_rng(0).normal(size=(8, 4, 6, 6, 3)).astype("float32")
    plan = slim.plan_pruning(model, 0.5, guards=LOOSE)
    masked, small = (make(model, plan, x, verbose=0) for make in (slim.mask, slim.shrink))
    np.testing.assert_allclose(masked(x), small(x), atol=1e-5)
    small.save(tmp_path / "small.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "small.keras")(x), small(x))


def test_a_model_in_a_pipeline_is_read_too():
    inputs = keras.Input((6, 6, 3))
    x = layers.Pipeline([layers.RandomFlip(), functional(3)], name="steps")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert sizes(model) == {"steps:stem": 8, "steps:features": 5}
    check_law(model)
    assert slim.profile(model).macs == slim.profile(functional(3)).macs + 5 * 2


def test_only_the_first_layer_inside_reads_what_goes_into_the_layer_around():
    inner = keras.Sequential([keras.Input((6,)), layers.ReLU(), layers.Dense(5)])
    inputs = keras.Input((4, 3))
    x = layers.TimeDistributed(inner)(layers.Dense(6, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert sizes(model)["hidden"] == 6
    assert id(inner.layers[1].kernel) not in {id(reading.variable) for reading in analyse(model).readings}


def with_constant(x):
    return x * np.linspace(1, 2, 8).astype("float32")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (with_constant, "meet a constant inside another layer"),
        (lambda x: x[..., 2:], "picked out inside another layer"),
        (lambda x: ops.mean(x, axis=-1, keepdims=True), "inside another layer computes statistics"),
        (lambda x: ops.einsum("bc,bc->b", x, x)[:, None], "a product of tensors inside another layer"),
    ],
)
def test_what_cannot_be_told_of_a_layer_inside_keeps_its_units_whole(function, reason):
    inner_inputs = keras.Input((3,))
    x = layers.Dense(6, name="other")(function(layers.Dense(8, name="inner")(inner_inputs)))
    inputs = keras.Input((4, 3))
    model = keras.Model(
        inputs, layers.Dense(2)(layers.TimeDistributed(keras.Model(inner_inputs, x), name="steps")(inputs))
    )
    assert reason in whole(model)["steps:inner"]
    assert sizes(model) == {"steps:other": 6}
    check_law(model)

import keras
import numpy as np
import pytest


def convolutional(**options):
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm", **options)(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_score_is_the_absolute_scale(score):
    model = convolutional()
    model.get_layer("norm").gamma.assign([0.5, -2.0, 0.0, 1.0])
    np.testing.assert_array_equal(score(model, "bn_scale"), [0.5, 2.0, 0.0, 1.0])


def test_a_batch_norm_behind_a_concatenation_counts_for_both_branches(score):
    inputs = keras.Input((4,))
    joined = keras.layers.Concatenate()([keras.layers.Dense(2)(inputs), keras.layers.Dense(3)(inputs)])
    x = keras.layers.BatchNormalization(name="norm")(joined)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.get_layer("norm").gamma.assign([1, -2, 3, -4, 5])
    np.testing.assert_array_equal(score(model, "bn_scale"), [1, 2, 3, 4, 5])


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_low_precision_scales_are_read(score, policy):
    model = convolutional(dtype=policy)
    model.get_layer("norm").gamma.assign([0.5, -2.0, 0.0, 1.0])
    np.testing.assert_array_equal(score(model, "bn_scale"), [0.5, 2.0, 0.0, 1.0])


def test_layer_without_batch_norm_is_named_with_the_way_out(score, perceptron):
    with pytest.raises(ValueError, match=r"batch norm with a scale .* none behind: hidden\. .*`ignore`.*another"):
        score(perceptron, "bn_scale")


def test_batch_norm_without_scale_is_none(score):
    with pytest.raises(ValueError, match="none behind: conv"):
        score(convolutional(scale=False), "bn_scale")


def test_ignored_layers_need_no_batch_norm(score):
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(3)(inputs))
    x = keras.layers.Dense(5, "relu", name="bare")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    np.testing.assert_array_equal(score(model, "bn_scale", ignore=["bare"]), [1, 1, 1])

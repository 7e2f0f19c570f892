import math

import keras
import pytest
from keras import layers

from keras_slim.profiling import profile, weight_uses


def convolutional(width):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(width, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.SeparableConv2D(2 * width, 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def test_uses_follow_the_calls():
    uses = [(weight.name, uses) for weight, uses in weight_uses(convolutional(4))]
    assert uses == [("kernel", 8 * 8), ("depthwise_kernel", 4 * 4), ("pointwise_kernel", 4 * 4), ("kernel", 1)]


def test_multiply_accumulates_are_sizes_times_uses():
    model = convolutional(4)
    by_hand = 8 * 8 * 3 * 3 * 3 * 4 + 4 * 4 * (3 * 3 * 4 + 4 * 8) + 4 * 4 * 8 * 10
    assert sum(math.prod(weight.shape) * uses for weight, uses in weight_uses(model)) == by_hand
    assert profile(model).macs == by_hand


def test_the_uses_of_a_model_predict_a_smaller_one():
    uses = [uses for _, uses in weight_uses(convolutional(8))]
    small = convolutional(3)
    kernels = [weight for weight in small.weights if "kernel" in weight.name]
    predicted = sum(math.prod(kernel.shape) * use for kernel, use in zip(kernels, uses, strict=True))
    assert predicted == profile(small).macs


def test_a_shared_weight_comes_once_per_call():
    a, b, dense = keras.Input((3,)), keras.Input((5, 3)), layers.Dense(2)
    model = keras.Model([a, b], [dense(a), dense(b)])
    assert [(weight is dense.kernel, uses) for weight, uses in weight_uses(model)] == [(True, 1), (True, 5)]


def test_inner_models_are_included():
    inner = keras.Sequential([keras.Input((5, 3)), layers.Dense(2)])
    outer = keras.Sequential([keras.Input((5, 3)), inner, layers.Dense(4)])
    assert [uses for _, uses in weight_uses(outer)] == [5, 5]


def test_unknown_sizes_are_an_error_with_the_way_out():
    x = keras.Input((None, None, 3))
    model = keras.Model(x, layers.Conv2D(4, 3, name="conv")(x), name="open")
    with pytest.raises(ValueError, match=r"'conv' in model 'open'.*shape=\(None, None, None, 4\).*fixed input shape"):
        weight_uses(model)
    with pytest.raises(ValueError, match="unknown size"):
        profile(model)


def test_unknown_sizes_do_not_matter_where_there_is_no_work():
    x = keras.Input((None, None, 3))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    assert [uses for _, uses in weight_uses(model)] == [1]

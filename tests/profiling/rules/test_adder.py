"""Adder layers count by the convention of the papers on adder networks: two additions for each use of a weight."""

import keras
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D
from keras_slim.profiling import profile

CASES = {
    # name: (layer, input, uses of elements of the kernel)
    "conv2d": (lambda: AdderConv2D(4, 3, strides=2, padding="same"), (8, 6, 2), 4 * 3 * 3 * 3 * 2 * 4),
    "groups": (lambda: AdderConv2D(4, 3, groups=2), (8, 8, 6), 6 * 6 * 3 * 3 * 3 * 4),
    "channels first": (lambda: AdderConv2D(4, 3, data_format="channels_first"), (2, 8, 6), 6 * 4 * 3 * 3 * 2 * 4),
    "conv1d": (lambda: AdderConv1D(4, 3), (10, 2), 8 * 3 * 2 * 4),
    "depthwise": (lambda: AdderDepthwiseConv2D(3, depth_multiplier=2), (9, 9, 4), 7 * 7 * 3 * 3 * 4 * 2),
    "dense": (lambda: AdderDense(5), (7, 3), 7 * 3 * 5),
}


@pytest.mark.parametrize("name", CASES)
def test_no_multiplication_and_two_additions(name):
    make, shape, uses = CASES[name]
    inputs = keras.Input(shape)
    cost = profile(keras.Model(inputs, make()(inputs)))
    assert (cost.macs, cost.multiplications, cost.additions) == (uses, 0, 2 * uses)
    assert cost.unknown == ()


def test_a_masked_model_costs_what_the_model_costs():
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), AdderConv2D(8, 3), AdderConv2D(8, 3), layers.Flatten(), layers.Dense(2)]
    )
    masked = slim.mask(model, slim.plan_pruning(model, 0.5, guards=slim.pruning.Guards(align=1)))
    cost, same = profile(model), profile(masked)
    assert (cost.multiplications, cost.additions) == (same.multiplications, same.additions)


def resnet20(conv):
    """He et al. 2016 on CIFAR-10, with 1x1 convolutions in the two shortcuts that change the size."""

    def normalised(x, *args, layer=conv, **options):
        return layers.BatchNormalization()(layer(*args, padding="same", use_bias=False, **options)(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(normalised(inputs, 16, 3, layer=layers.Conv2D))
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            y = layers.ReLU()(normalised(x, filters, 3, strides=strides))
            y = normalised(y, filters, 3)
            x = layers.ReLU()(layers.Add()([y, normalised(x, filters, 1, strides=2) if strides == 2 else x]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


FIRST, LAST = 32 * 32 * 27 * 16, 64 * 10
STAGES = 6 * 32**2 * 9 * 16**2 + sum(size**2 * 9 * (n // 2 * n + 5 * n * n) for size, n in ((16, 32), (8, 64)))
SHORTCUTS = 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64


def test_resnet20_has_the_counts_of_the_paper_but_for_what_is_no_convolution():
    """Chen et al. 2020: 41.2 M multiplications and additions; none and 82.3 M, without ordinary ends."""
    cost = profile(resnet20(layers.Conv2D))
    assert cost.multiplications == cost.additions == FIRST + STAGES + SHORTCUTS + LAST == 40_813_184
    assert 0.98 < cost.multiplications / 41.2e6 < 1

    cost = profile(resnet20(AdderConv2D))
    assert cost.multiplications == FIRST + LAST == 443_008
    assert cost.additions == FIRST + LAST + 2 * (STAGES + SHORTCUTS) == 81_183_360
    assert 0.98 < (cost.multiplications + cost.additions) / 82.3e6 < 1

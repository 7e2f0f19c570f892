import keras
import pytest
from keras import layers

from keras_slim.profiling import profile


def macs(layer, shape):
    x = keras.Input(shape)
    cost = profile(keras.Model(x, layer(x)))
    assert cost.unknown == ()
    return cost.macs


def test_one_dimension():
    assert macs(layers.Conv1D(4, 3), (10, 2)) == (10 - 2) * 3 * 2 * 4


def test_two_dimensions_with_strides():
    assert macs(layers.Conv2D(4, 3, strides=2, padding="same"), (8, 6, 2)) == 4 * 3 * 3 * 3 * 2 * 4


def test_three_dimensions():
    assert macs(layers.Conv3D(4, 2), (5, 6, 7, 3)) == 4 * 5 * 6 * 2 * 2 * 2 * 3 * 4


def test_dilation_changes_only_the_output_size():
    assert macs(layers.Conv2D(4, 3, dilation_rate=2), (8, 8, 2)) == 4 * 4 * 3 * 3 * 2 * 4


def test_groups_divide_the_work():
    assert macs(layers.Conv2D(4, 3, padding="same", groups=2), (8, 8, 6)) == 8 * 8 * 3 * 3 * (6 // 2) * 4


def test_channels_first():
    layer = layers.Conv2D(4, 3, strides=2, padding="same", data_format="channels_first")
    assert macs(layer, (2, 8, 6)) == 4 * 3 * 3 * 3 * 2 * 4


def test_depthwise_with_a_multiplier():
    assert macs(layers.DepthwiseConv1D(3, depth_multiplier=2), (10, 4)) == 8 * 3 * 4 * 2
    assert macs(layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2), (9, 9, 4)) == 4 * 4 * 3 * 3 * 4 * 2


def test_both_halves_of_a_separable_convolution_work_at_the_output_positions():
    layer = layers.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2)
    depthwise, pointwise = 4 * 4 * 3 * 3 * 4 * 2, 4 * 4 * 8 * 5
    assert macs(layer, (8, 8, 4)) == depthwise + pointwise
    assert macs(layers.SeparableConv1D(5, 3), (10, 4)) == 8 * 3 * 4 + 8 * 4 * 5


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolutions_work_at_the_input_positions(rank):
    layer = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)[rank - 1]
    assert macs(layer(4, 3, strides=2, padding="same"), (*[5] * rank, 2)) == 5**rank * 3**rank * 2 * 4


def test_a_transposed_convolution_does_the_work_of_the_convolution_it_reverses():
    there = macs(layers.Conv2D(4, 2, strides=2), (8, 8, 3))
    back = macs(layers.Conv2DTranspose(3, 2, strides=2), (4, 4, 4))
    assert there == back
    assert macs(layers.Conv2DTranspose(3, 2, strides=2, data_format="channels_first"), (4, 4, 4)) == back

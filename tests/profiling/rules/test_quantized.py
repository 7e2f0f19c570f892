"""Multiplications, additions, XNOR and bits of layers with few bits, by hand."""

import keras
import pytest

from keras_slim.layers import QuantConv2D, QuantDense, QuantEmbedding, Quantize, QuantSeparableConv2D
from keras_slim.profiling import profile
from keras_slim.quantizers import Int


def cost_of(layer, shape=(6, 6, 4)):
    inputs = keras.Input(shape)
    return profile(keras.Model(inputs, layer(inputs)))


@pytest.mark.parametrize(
    ("kernel", "inputs", "multiplications", "xnors", "bits"),
    [
        (None, None, 1, 0, 32),
        ("int", "int", 1, 0, 8),
        (Int(4), None, 1, 0, 4),
        (Int(2), None, 0, 0, 2),  # symmetric: -1, 0, 1
        (Int(2, symmetric=False), None, 1, 0, 2),
        ("ternary", "int", 0, 0, 2),
        ("trained_ternary", None, 0, 0, 2),
        ("binary", None, 0, 0, 1),
        ("binary_scaled", "int", 0, 0, 1),
        (None, "sign", 0, 0, 32),
        ("ternary", "sign", 0, 0, 2),
        ("sign", "sign", 0, 1, 1),
    ],
)
def test_nothing_is_multiplied_by_two_or_three_values_and_two_pairs_of_them_are_an_xnor(
    kernel, inputs, multiplications, xnors, bits
):
    layer = QuantConv2D(5, 3, kernel_quantizer=kernel, input_quantizer=inputs)
    cost = cost_of(layer)
    uses = 4 * 4 * 3 * 3 * 4 * 5
    assert (cost.macs, cost.additions) == (uses, uses)
    assert (cost.multiplications, cost.xnors) == (multiplications * uses, xnors * uses)
    kept = sum(weight.shape == () for weight in layer.weights)
    assert cost.bits == 3 * 3 * 4 * 5 * bits + 32 * (5 + kept)
    assert cost.bytes == 4 * (3 * 3 * 4 * 5 + 5 + kept)
    assert cost.unknown == ()


def test_between_the_halves_of_a_separable_convolution_nothing_is_rounded():
    cost = cost_of(QuantSeparableConv2D(5, 3, kernel_quantizer="binary", input_quantizer="sign"))
    assert (cost.multiplications, cost.xnors, cost.additions) == (0, 16 * 9 * 4, 16 * (9 * 4 + 4 * 5))
    assert cost.bits == 9 * 4 + 4 * 5 + 32 * 5


def test_tables_and_activations_are_not_counted_but_take_bits():
    inputs = keras.Input((3,), dtype="int32")
    x = Quantize(Int(per_channel=True))(QuantEmbedding(7, 4, embeddings_quantizer="ternary")(inputs))
    cost = profile(keras.Model(inputs, x))
    assert (cost.macs, cost.unknown) == (0, ())
    assert cost.bits == 7 * 4 * 2 + 32 * (4 + 4 + 1)
    assert cost.to_dict()["bits"] == cost.bits


def test_a_layer_inside_another_has_the_bits_of_its_quantizer():
    cost = cost_of(keras.layers.TimeDistributed(QuantDense(2, kernel_quantizer="sign", input_quantizer="sign")), (3, 5))
    assert (cost.xnors, cost.bits) == (3 * 5 * 2, 5 * 2 + 32 * 2)


def binary_convolution(*args, **kwargs):
    return QuantConv2D(*args, kernel_quantizer="binary", input_quantizer="sign", **kwargs)


def small_vgg(layer):
    """Six convolutions and a classifier for CIFAR-10; the first and the last layer are real."""
    real = keras.layers
    model = [keras.Input((32, 32, 3)), real.Conv2D(128, 3, padding="same", use_bias=False)]
    for filters, pool in ((128, True), (256, False), (256, True), (512, False), (512, True)):
        model.append(layer(filters, 3, padding="same", use_bias=False))
        model += [real.MaxPooling2D()] if pool else []
    return keras.Sequential([*model, real.Flatten(), real.Dense(10)])


def test_in_a_binary_network_only_the_first_and_the_last_layer_multiply():
    plain, binary = profile(small_vgg(keras.layers.Conv2D)), profile(small_vgg(binary_convolution))
    assert (binary.macs, binary.additions) == (plain.macs, plain.additions)
    assert binary.multiplications == 32 * 32 * 27 * 128 + 8192 * 10
    assert binary.xnors == plain.multiplications - binary.multiplications == 603_979_776
    assert binary.bits == plain.bits - 31 * 9 * (128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)


def test_xnor_has_a_column_only_where_there_is_one():
    signs = cost_of(QuantConv2D(5, 3, kernel_quantizer="sign", input_quantizer="sign"))
    assert "XNOR" in str(signs)
    assert "As they are rounded, the weights take 42.5 B." in str(signs)
    plain = str(cost_of(QuantConv2D(5, 3)))
    assert "XNOR" not in plain
    assert "rounded" not in plain

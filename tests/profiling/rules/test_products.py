import keras
import pytest
from keras import layers, ops

from keras_slim.profiling import profile


def macs(function, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    return profile(keras.Model(inputs, function(*inputs))).macs


@pytest.mark.parametrize("axes", [-1, 2, (2, 2)])
def test_dot_layer(axes):
    assert macs(lambda a, b: layers.Dot(axes)([a, b]), (5, 8), (7, 8)) == 5 * 7 * 8


def test_dot_layer_on_vectors():
    assert macs(lambda a, b: layers.Dot(1)([a, b]), (8,), (8,)) == 8


def test_matmul():
    assert macs(ops.matmul, (2, 5, 8), (2, 8, 7)) == 2 * 5 * 7 * 8
    assert macs(lambda a, b: a @ b, (5, 8), (8, 7)) == 5 * 7 * 8
    assert macs(lambda a, b: ops.matmul(x2=b, x1=a), (5, 8), (8, 7)) == 5 * 7 * 8


def test_matmul_with_a_constant():
    assert macs(lambda a: ops.matmul(a, ops.ones((8, 3))), (5, 8)) == 5 * 3 * 8


def test_einsum():
    assert macs(lambda a, b: ops.einsum("bqhd,bkhd->bhqk", a, b), (5, 2, 8), (7, 2, 8)) == 5 * 2 * 8 * 7


def test_einsum_with_a_constant_first():
    assert macs(lambda a: ops.einsum("ts,bsc->btc", ops.ones((4, 5)), a), (5, 8)) == 4 * 5 * 8


KERAS_ON_AXES = pytest.mark.filterwarnings("ignore:NotImplemented should not be used:DeprecationWarning")
"""Keras compares the batch, `None`, with a number by a method that says so."""


@KERAS_ON_AXES
@pytest.mark.parametrize("axes", [1, ([-1], [0])])
def test_tensordot_with_a_constant(axes):
    assert macs(lambda a: ops.tensordot(a, ops.ones((8, 3)), axes=axes), (5, 8)) == 5 * 8 * 3
    assert macs(lambda a: ops.tensordot(x2=ops.ones((8, 3)), x1=a, axes=axes), (5, 8)) == 5 * 8 * 3


@KERAS_ON_AXES
def test_tensordot_over_two_axes_with_a_constant_first():
    assert macs(lambda a: ops.tensordot(a, ops.ones((5, 8, 3)), axes=2), (5, 8)) == 5 * 8 * 3
    assert macs(lambda a: ops.tensordot(ops.ones((3, 8)), a, axes=([1], [2])), (5, 8)) == 3 * 8 * 5

import keras
from keras import layers

from keras_slim.profiling import profile


def macs(layer, shape):
    x = keras.Input(shape)
    cost = profile(keras.Model(x, layer(x)))
    assert cost.unknown == ()
    return cost.macs


def test_dense_on_a_vector():
    assert macs(layers.Dense(4), (3,)) == 3 * 4


def test_dense_at_every_position():
    assert macs(layers.Dense(4), (5, 6, 3)) == 5 * 6 * 3 * 4


def test_einsum_dense_as_dense():
    assert macs(layers.EinsumDense("abc,cd->abd", output_shape=(None, 4)), (5, 3)) == 5 * 3 * 4
    assert macs(layers.EinsumDense("...x,xy->...y", output_shape=4), (5, 6, 3)) == 5 * 6 * 3 * 4


def test_einsum_dense_into_and_out_of_heads():
    into = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de")
    assert macs(into, (5, 3)) == 5 * 3 * 2 * 4
    assert macs(layers.EinsumDense("abcd,cde->abe", output_shape=(None, 7)), (5, 2, 4)) == 5 * 2 * 4 * 7


def test_einsum_dense_with_a_kernel_per_step():
    assert macs(layers.EinsumDense("abc,bcd->abd", output_shape=(5, 4)), (5, 3)) == 5 * 3 * 4

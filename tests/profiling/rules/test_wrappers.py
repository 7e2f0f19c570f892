import keras
from keras import layers

from keras_slim.profiling import profile


def cost_of(layer, shape):
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    cost = profile(model)
    assert cost.unknown == ()
    assert cost.parameters == model.count_params()
    return cost


def test_time_distributed_does_its_work_at_every_step():
    assert cost_of(layers.TimeDistributed(layers.Conv2D(4, 3)), (5, 8, 8, 2)).macs == 5 * 6 * 6 * 3 * 3 * 2 * 4
    assert cost_of(layers.TimeDistributed(layers.Dense(4)), (5, 3)).macs == 5 * 3 * 4


def test_time_distributed_around_a_model():
    inner = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)])
    assert cost_of(layers.TimeDistributed(inner), (5, 8, 8, 2)).macs == 5 * (6 * 6 * 3 * 3 * 2 * 4 + 6 * 6 * 4 * 3)


def test_bidirectional_works_twice():
    assert cost_of(layers.Bidirectional(layers.LSTM(4)), (7, 3)).macs == 2 * 7 * 4 * (3 * 4 + 4 * 4)


def test_spectral_normalization_is_free():
    layer = layers.SpectralNormalization(layers.Conv2D(4, 3))
    assert cost_of(layer, (8, 8, 2)).macs == 6 * 6 * 3 * 3 * 2 * 4

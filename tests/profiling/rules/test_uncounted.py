import keras
import pytest
from keras import layers

from keras_slim.profiling import profile


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        (layers.PReLU(), 4 * 5 * 6),
        (layers.BatchNormalization(), 4 * 6),
        (layers.LayerNormalization(axis=[1, 2, 3]), 2 * 4 * 5 * 6),
        (layers.RMSNormalization(), 6),
        (layers.GroupNormalization(3), 2 * 6),
        (layers.Normalization(axis=(1, 3)), 2 * 4 * 6 + 1),
    ],
)
def test_weights_without_work(layer, parameters):
    x = keras.Input((4, 5, 6))
    cost = profile(keras.Model(x, layer(x)))
    assert (cost.parameters, cost.macs, cost.unknown) == (parameters, 0, ())


def test_an_embedding_is_a_look_up():
    x = keras.Input((7,), dtype="int32")
    cost = profile(keras.Model(x, layers.Embedding(10, 4)(x)))
    assert (cost.parameters, cost.macs, cost.unknown) == (10 * 4, 0, ())

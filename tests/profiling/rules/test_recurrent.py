import keras
import pytest
from keras import layers

from keras_slim.profiling import profile


def macs(layer, shape):
    x = keras.Input(shape)
    cost = profile(keras.Model(x, layer(x)))
    assert cost.unknown == ()
    return cost.macs


@pytest.mark.parametrize(("layer", "gates"), [(layers.SimpleRNN, 1), (layers.GRU, 3), (layers.LSTM, 4)])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_kernels_are_used_at_every_step(layer, gates, return_sequences):
    assert macs(layer(4, return_sequences=return_sequences), (7, 3)) == 7 * gates * (3 * 4 + 4 * 4)


def test_a_layer_of_stacked_cells():
    cells = [layers.LSTMCell(4), layers.GRUCell(5)]
    assert macs(layers.RNN(cells), (7, 3)) == 7 * (4 * (3 * 4 + 4 * 4) + 3 * (4 * 5 + 5 * 5))
    assert macs(layers.RNN(layers.SimpleRNNCell(4)), (7, 3)) == 7 * (3 * 4 + 4 * 4)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_convolutional_cells_work_at_every_step_and_position(return_sequences, data_format):
    layer = layers.ConvLSTM2D(4, 3, return_sequences=return_sequences, data_format=data_format)
    shape = (5, 8, 6, 2) if data_format == "channels_last" else (5, 2, 8, 6)
    assert macs(layer, shape) == 5 * (6 * 4) * 3 * 3 * (2 + 4) * 4 * 4


def test_an_unknown_number_of_steps_is_an_error():
    with pytest.raises(ValueError, match=r"'lstm' .* unknown size.*\(None, None, 3\)"):
        macs(layers.LSTM(4, name="lstm"), (None, 3))

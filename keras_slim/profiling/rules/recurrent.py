"""Recurrent layers: each element of a kernel is used once per time step; of a convolutional one, at each position."""

from keras import layers

from keras_slim.graph.nodes import Node
from keras_slim.profiling.sizes import positions, size
from keras_slim.profiling.work import register_work, weight_work, work_of


@register_work(layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)
def cell(layer, call):
    return weight_work(layer, {"kernel": 1, "recurrent_kernel": 1, "bias": 0})


@register_work(layers.StackedRNNCells)
def stacked_cells(layer, call):
    return [work for part in layer.cells for work in work_of(_call_of(part))]


@register_work(layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN)
def recurrent(layer, call):
    steps = size(call.inputs[0].shape, axes=[1])
    return [work.times(steps) for work in work_of(_call_of(layer.cell))]


@register_work(layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D)
def convolutional_recurrent(layer, call):
    steps = size(call.inputs[0].shape, axes=[1])
    shape = call.outputs[0].shape
    one_step = (shape[0], *shape[2:]) if layer.return_sequences else shape
    uses = steps * positions(one_step, layer.data_format)
    return weight_work(layer, {"kernel": uses, "recurrent_kernel": uses})


def _call_of(rnn_cell):
    """Returns the call of a cell at one time step, whose tensors no rule of a cell looks at."""
    return Node(rnn_cell, inputs=(), outputs=(), args=(), kwargs={})

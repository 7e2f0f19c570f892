"""What every rule of a layer with weights must keep, whatever the layer."""

import keras
import pytest
from keras import layers

import keras_slim.layers as own
from keras_slim.profiling import profile, weight_uses
from keras_slim.profiling.work import _rules
from keras_slim.quantizers import Int

IMAGE, SEQUENCE = (6, 6, 4), (6, 4)

# Each registered layer with weights that do work, as a function of its width, and the shape it is called on.
EXAMPLES = {
    layers.Conv1D: (lambda n: layers.Conv1D(n, 3), SEQUENCE),
    layers.Conv2D: (lambda n: layers.Conv2D(n, 3, strides=2), IMAGE),
    layers.Conv3D: (lambda n: layers.Conv3D(n, 3), (6, *IMAGE)),
    layers.DepthwiseConv1D: (lambda n: layers.DepthwiseConv1D(3, depth_multiplier=n), SEQUENCE),
    layers.DepthwiseConv2D: (lambda n: layers.DepthwiseConv2D(3, depth_multiplier=n), IMAGE),
    layers.SeparableConv1D: (lambda n: layers.SeparableConv1D(n, 3), SEQUENCE),
    layers.SeparableConv2D: (lambda n: layers.SeparableConv2D(n, 3, strides=2), IMAGE),
    layers.Conv1DTranspose: (lambda n: layers.Conv1DTranspose(n, 3), SEQUENCE),
    layers.Conv2DTranspose: (lambda n: layers.Conv2DTranspose(n, 3, strides=2), IMAGE),
    layers.Conv3DTranspose: (lambda n: layers.Conv3DTranspose(n, 3), (6, *IMAGE)),
    layers.Dense: (lambda n: layers.Dense(n), SEQUENCE),
    layers.EinsumDense: (lambda n: layers.EinsumDense("abc,cde->abde", (None, 2, n), bias_axes="de"), SEQUENCE),
    layers.SimpleRNN: (lambda n: layers.SimpleRNN(n), SEQUENCE),
    layers.GRU: (lambda n: layers.GRU(n), SEQUENCE),
    layers.LSTM: (lambda n: layers.LSTM(n), SEQUENCE),
    layers.RNN: (lambda n: layers.RNN([layers.LSTMCell(n), layers.GRUCell(n), layers.SimpleRNNCell(n)]), SEQUENCE),
    layers.ConvLSTM1D: (lambda n: layers.ConvLSTM1D(n, 3), (6, *SEQUENCE)),
    layers.ConvLSTM2D: (lambda n: layers.ConvLSTM2D(n, 3), (6, *IMAGE)),
    layers.ConvLSTM3D: (lambda n: layers.ConvLSTM3D(n, 3), (2, 6, *IMAGE)),
    layers.TimeDistributed: (lambda n: layers.TimeDistributed(layers.Conv2D(n, 3)), (6, *IMAGE)),
    layers.Pipeline: (lambda n: layers.Pipeline([layers.Conv2D(n, 3), layers.Dense(n)]), IMAGE),
    layers.Bidirectional: (lambda n: layers.Bidirectional(layers.LSTM(n)), SEQUENCE),
    layers.SpectralNormalization: (lambda n: layers.SpectralNormalization(layers.Dense(n)), SEQUENCE),
    layers.MultiHeadAttention: (lambda n: attend_to_itself(layers.MultiHeadAttention(n, key_dim=n)), SEQUENCE),
    layers.GroupQueryAttention: (lambda n: attend_to_itself(layers.GroupQueryAttention(n, n, 1)), SEQUENCE),
    own.AdderConv1D: (lambda n: own.AdderConv1D(n, 3), SEQUENCE),
    own.AdderConv2D: (lambda n: own.AdderConv2D(n, 3, strides=2), IMAGE),
    own.AdderDepthwiseConv2D: (lambda n: own.AdderDepthwiseConv2D(3, depth_multiplier=n), IMAGE),
    own.AdderDense: (lambda n: own.AdderDense(n), SEQUENCE),
    own.MaskedAdderConv1D: (lambda n: own.MaskedAdderConv1D(n, 3, kept={2: [0, 3]}), SEQUENCE),
    own.MaskedAdderConv2D: (lambda n: own.MaskedAdderConv2D(n, 3, kept={3: [0, 3]}), IMAGE),
    own.MaskedAdderDense: (lambda n: own.MaskedAdderDense(n, kept={2: [0, 3]}), SEQUENCE),
    own.QuantConv1D: (lambda n: own.QuantConv1D(n, 3, kernel_quantizer="binary"), SEQUENCE),
    own.QuantConv2D: (lambda n: own.QuantConv2D(n, 3, input_quantizer=Int(per_channel=True)), IMAGE),
    own.QuantConv3D: (lambda n: own.QuantConv3D(n, 3, kernel_quantizer="ternary"), (6, *IMAGE)),
    own.QuantConv2DTranspose: (lambda n: own.QuantConv2DTranspose(n, 3, kernel_quantizer="int"), IMAGE),
    own.QuantDepthwiseConv2D: (lambda n: own.QuantDepthwiseConv2D(3, depth_multiplier=n), IMAGE),
    own.QuantSeparableConv2D: (lambda n: own.QuantSeparableConv2D(n, 3, kernel_quantizer="sign"), IMAGE),
    own.QuantDense: (lambda n: own.QuantDense(n, kernel_quantizer="int", input_quantizer="sign"), SEQUENCE),
}
PARTS = {layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell, layers.StackedRNNCells}  # inside `RNN` above
WITHOUT_WORK = {
    layers.Embedding,
    layers.PReLU,
    layers.Normalization,
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.GroupNormalization,
    own.QuantEmbedding,
    own.Quantize,
}
WITHOUT_MATRICES = {layers.Attention, layers.AdditiveAttention, layers.Dot, own.MaskedAttention, own.HashedDense}
TABLES = {layers.ReversibleEmbedding, own.MaskedReversibleEmbedding}  # in tests/graph/test_rules_tables.py
TRAINS = {own.TensorTrainDense, own.TensorTrainEmbedding}  # in tests/layers/test_tensor_train.py


def attend_to_itself(layer):
    return lambda x: layer(x, x)


def model_of(example, width):
    make, shape = example
    x = keras.Input(shape)
    return keras.Model(x, make(width)(x))


def test_every_registered_layer_has_an_example():
    homes = "keras.", "keras_slim.layers."
    registered = {rule for rule in _rules if isinstance(rule, type) and rule.__module__.startswith(homes)}
    assert registered == {*EXAMPLES, *PARTS, *WITHOUT_WORK, *WITHOUT_MATRICES, *TABLES, *TRAINS}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=[layer.__name__ for layer in EXAMPLES])
def test_every_matrix_is_explained_and_uses_do_not_depend_on_the_width(example):
    narrow, wide = model_of(example, 2), model_of(example, 3)
    assert profile(narrow).unknown == ()
    assert profile(narrow).macs > 0
    uses = [(weight.name, uses) for weight, uses in weight_uses(narrow)]
    assert uses == [(weight.name, uses) for weight, uses in weight_uses(wide)]
    assert len(uses) == sum("kernel" in weight.name for weight in narrow.weights)

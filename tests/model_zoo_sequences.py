"""Small models of recurrent layers, attention, embeddings and einsum layers.

Three steps are enough: one that starts, one that reads what another left, one that hands it on. Where more units are
made up for, more steps are more data.
"""

import keras
from keras import layers
from since import GATE


def recurrent():
    inputs = keras.Input((3, 4))
    x = layers.LSTM(10, return_sequences=True)(inputs)
    x = layers.GRU(9, return_sequences=True, go_backwards=True)(x)
    x = layers.GRU(8, return_sequences=True, reset_after=False, use_bias=False)(x)
    x = layers.LSTM(7, return_sequences=True, activation="relu", recurrent_activation="hard_sigmoid", unroll=True)(x)
    x = layers.SimpleRNN(6)(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def encoder_decoder():
    """States that pass from one recurrent layer to another, in a residual sum with an embedding."""
    source, target = keras.Input((3,), dtype="int32"), keras.Input((4,), dtype="int32")
    x = layers.Embedding(12, 8, mask_zero=True)(source)
    _, hidden, carry = layers.LSTM(10, return_state=True)(x)
    y = layers.Embedding(12, 8)(target)
    z = layers.LSTM(10, return_sequences=True)(y, initial_state=[hidden, carry])
    y = layers.Add()([y, layers.Dense(8)(z)])
    _, state = layers.GRU(10, return_state=True)(y, initial_state=hidden)
    return keras.Model([source, target], [layers.Dense(3)(y), layers.Dense(2)(state)])


def cells():
    inputs = keras.Input((3, 4))
    stack = [layers.LSTMCell(9), layers.GRUCell(8, reset_after=False), layers.SimpleRNNCell(7)]
    x, *states = layers.RNN(stack, return_sequences=True, return_state=True)(inputs)
    x = layers.RNN(layers.GRUCell(8))(x)
    first_hidden, first_carry = states[0]
    x = layers.Concatenate()([x, first_hidden, first_carry])
    return keras.Model(inputs, layers.Dense(3)(x))


def both_directions():
    inputs = keras.Input((6, 4))
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(inputs)
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True), merge_mode="sum")(x)
    x = layers.Bidirectional(
        layers.SimpleRNN(7, return_sequences=True),
        backward_layer=layers.SimpleRNN(7, return_sequences=True, go_backwards=True, activation="relu"),
        merge_mode="mul",
    )(x)
    x = layers.Bidirectional(layers.RNN(layers.LSTMCell(6), return_sequences=True), merge_mode="ave")(x)
    forward, backward = layers.Bidirectional(layers.LSTM(8, return_sequences=True), merge_mode=None)(x)
    y, *states = layers.Bidirectional(layers.GRU(9, return_state=True))(forward)
    z = layers.Bidirectional(layers.GRU(9))(backward, initial_state=states)
    first = [layers.Dense(6, "tanh")(z) for _ in range(4)]
    x = layers.Bidirectional(layers.LSTM(6))(inputs, initial_state=first)
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([x, y, z])))


def each_step():
    inputs = keras.Input((3, 6, 6, 2))
    x = layers.TimeDistributed(layers.Conv2D(8, 3, activation="relu"))(inputs)
    x = layers.TimeDistributed(layers.BatchNormalization())(x)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.TimeDistributed(layers.Dense(9, activation="tanh"))(x)
    return keras.Model(inputs, layers.Dense(3)(layers.LSTM(8)(x)))


def convolutional_recurrent():
    inputs = keras.Input((3, 6, 6, 2))
    x = layers.ConvLSTM2D(6, 3, padding="same", return_sequences=True)(inputs)
    x = layers.ConvLSTM2D(5, 3, strides=2, use_bias=False)(x)
    signal = keras.Input((3, 8, 2))
    y = layers.ConvLSTM1D(6, 3, activation="relu")(signal)
    return keras.Model([inputs, signal], [layers.Dense(3)(layers.Flatten()(x)), layers.Dense(2)(layers.Flatten()(y))])


def stateful():
    inputs = keras.Input(batch_shape=(7, 3, 4))
    x = layers.LSTM(8, return_sequences=True, stateful=True)(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(8, stateful=True)(x)))


def transformer():
    """A residual stream of embeddings, with nothing that mixes it."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(12, 16)(inputs)
    y = layers.MultiHeadAttention(4, 6, value_dim=5)(x, x, use_causal_mask=True)
    x = layers.Add()([x, y])
    y = layers.Dense(16)(layers.Dense(24, "gelu")(x))
    x = layers.Add()([x, y])
    x = layers.Add()([x, layers.MultiHeadAttention(3, 6, use_bias=False, **GATE)(x, x)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def attention_to_another_sequence():
    left, right = keras.Input((6, 4)), keras.Input((6, 3))
    x, y, z = layers.Dense(10)(left), layers.Dense(11)(right), layers.Dense(12, "tanh")(right)
    x, scores = layers.MultiHeadAttention(4, 6, value_dim=7, output_shape=9)(x, y, z, return_attention_scores=True)
    x = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, y)
    x = layers.Dense(2)(x)
    scores = layers.Dense(2)(layers.Flatten()(scores))
    return keras.Model([left, right], [x, scores])


def attention_over_two_axes():
    inputs = keras.Input((4, 3, 5))
    x = layers.Dense(8)(inputs)
    x = layers.MultiHeadAttention(3, 4, attention_axes=(1, 2))(x, x)
    x = layers.MultiHeadAttention(3, 4, attention_axes=-2)(x, x)
    return keras.Model(inputs, layers.Dense(3)(x))


def grouped_query_attention():
    inputs = keras.Input((6, 5))
    x = layers.Dense(12)(inputs)
    x = layers.Add()([x, layers.GroupQueryAttention(6, num_query_heads=6, num_key_value_heads=3)(x, x)])
    y = layers.GroupQueryAttention(4, 4, 4, use_bias=False, **GATE)(x, x, layers.Dense(7)(inputs))
    return keras.Model(inputs, layers.Dense(3)(y))


def einsum_layers():
    """Units along a leading axis, along two axes at once, and behind an ellipsis."""
    inputs = keras.Input((5, 11))
    x = layers.EinsumDense("ab...,bc->ac...", output_shape=7, bias_axes="c")(inputs)
    x = layers.EinsumDense("abc,bcd->abd", output_shape=(7, 8), bias_axes="bd")(x)
    x = layers.EinsumDense("...x,xy->...y", output_shape=9, bias_axes="y")(x)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(7, 4, 8), bias_axes="de", activation="relu")(x)
    x = layers.EinsumDense("abde,def->abf", output_shape=(7, 12))(x)
    x = layers.EinsumDense("abc,bc->ab", output_shape=7)(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def attention_without_projections():
    left, right = keras.Input((5, 4)), keras.Input((6, 3))
    query, key, value = layers.Dense(8)(left), layers.Dense(8)(right), layers.Dense(9)(right)
    x = layers.Attention()([query, value, key])
    query, key = layers.Dense(10)(left), layers.Dense(10)(right)
    y = layers.AdditiveAttention()([query, layers.Dense(7)(right), key])
    y = layers.AdditiveAttention()([y, layers.Dense(7)(right)])
    z = layers.Dot(axes=1)([x, layers.Dense(5, "sigmoid")(layers.Flatten()(left))])
    return keras.Model([left, right], [layers.Dense(2)(x), layers.Dense(2)(y), layers.Dense(2)(z)])


BUILDERS = [
    recurrent,
    encoder_decoder,
    cells,
    both_directions,
    each_step,
    convolutional_recurrent,
    stateful,
    transformer,
    attention_to_another_sequence,
    attention_over_two_axes,
    grouped_query_attention,
    einsum_layers,
    attention_without_projections,
]

import keras
import pytest
from keras import layers
from since import GATE

from keras_slim.profiling import profile, weight_uses


def cost_of(layer, *shapes, **arguments):
    inputs = [keras.Input(shape) for shape in shapes]
    cost = profile(keras.Model(inputs, layer(*inputs, **arguments)))
    assert cost.unknown == ()
    return cost


def test_multi_head_attention():
    """Lengths 5 and 7, widths 8 and 6, two heads of 4 for keys and 3 for values."""
    cost = cost_of(layers.MultiHeadAttention(2, key_dim=4, value_dim=3), (5, 8), (7, 6))
    projections = 5 * 8 * 2 * 4 + 7 * 6 * 2 * 4 + 7 * 6 * 2 * 3 + 5 * 2 * 3 * 8
    assert cost.macs == projections + 2 * 5 * 7 * (4 + 3)


def test_self_attention_and_arguments_by_name():
    x = keras.Input((5, 8))
    layer = layers.MultiHeadAttention(2, key_dim=4)
    expected = 4 * 5 * 8 * 2 * 4 + 2 * 5 * 5 * (4 + 4)
    assert profile(keras.Model(x, layer(x, x))).macs == expected
    assert profile(keras.Model(x, layer(value=x, query=x, key=x))).macs == expected


def test_attention_over_some_axes_only():
    """Rows of 6 attend within themselves, in 5 columns."""
    cost = cost_of(layers.MultiHeadAttention(2, key_dim=4, attention_axes=2), (5, 6, 8), (5, 6, 8))
    assert cost.macs == 4 * 5 * 6 * 8 * 2 * 4 + 5 * 2 * 6 * 6 * (4 + 4)


@pytest.mark.parametrize("gates", [0, len(GATE)])
def test_grouped_query_attention(gates):
    """Four heads of 4 for queries share two for keys and values."""
    cost = cost_of(layers.GroupQueryAttention(4, 4, 2, **(GATE if gates else {})), (5, 8), (7, 8))
    projections = (1 + gates) * 5 * 8 * 4 * 4 + 2 * 7 * 8 * 2 * 4 + 5 * 4 * 4 * 8
    assert cost.macs == projections + 4 * 5 * 7 * (4 + 4)


def test_uses_of_projections_are_lengths():
    query, value = keras.Input((5, 8)), keras.Input((7, 8))
    model = keras.Model([query, value], layers.MultiHeadAttention(2, key_dim=4)(query, value))
    assert sorted(uses for _, uses in weight_uses(model)) == [5, 5, 7, 7]


@pytest.mark.parametrize("layer", [layers.Attention, layers.AdditiveAttention])
def test_attention_without_projections(layer):
    query, value, key = keras.Input((5, 8)), keras.Input((7, 6)), keras.Input((7, 8))
    assert profile(keras.Model([query, value, key], layer()([query, value, key]))).macs == 5 * 7 * (8 + 6)
    assert profile(keras.Model([query, key], layer()([query, key]))).macs == 5 * 7 * (8 + 8)


def test_the_operation():
    query, key, value = keras.Input((5, 2, 4)), keras.Input((7, 2, 4)), keras.Input((7, 2, 4))
    outputs = keras.ops.dot_product_attention(query, key, value)
    assert profile(keras.Model([query, key, value], outputs)).macs == 2 * 5 * 7 * (4 + 4)

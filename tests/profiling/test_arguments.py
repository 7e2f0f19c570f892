import keras
from keras import layers

from keras_slim.graph.nodes import walk
from keras_slim.profiling.arguments import argument


def last_call(inputs, outputs):
    return walk(keras.Model(inputs, outputs))[-1]


def test_an_argument_is_found_by_position_and_by_name():
    query, value = keras.Input((5, 8)), keras.Input((7, 8))
    attend = layers.MultiHeadAttention(2, 4)
    by_position = last_call([query, value], attend(query, value))
    by_name = last_call([query, value], attend(value=value, query=query))
    mixed = last_call([query, value], attend(query, value=value))
    for call in (by_position, by_name, mixed):
        assert argument(call, "query", 0) is query
        assert argument(call, "value", 1) is value

import keras
import numpy as np
from keras import layers

from keras_slim.graph import analyse
from keras_slim.pruning.surgery import rebuild


def test_a_unit_is_a_column_of_the_table():
    inputs = keras.Input((5,), dtype="int32")
    table = layers.Embedding(10, 4, name="table")
    model = keras.Model(inputs, layers.Dense(2)(table(inputs)))
    small, _ = rebuild(analyse(model), np.array([True, False, False, True]))
    assert small.get_layer("table").output_dim == 2
    np.testing.assert_array_equal(small.get_layer("table").embeddings, table.embeddings.numpy()[:, [0, 3]])


def test_two_tables_that_are_added_are_cut_together():
    tokens, places = keras.Input((5,), dtype="int32"), keras.Input((5,), dtype="int32")
    x = layers.Add()([layers.Embedding(10, 8, name="tokens")(tokens), layers.Embedding(5, 8, name="places")(places)])
    (group,) = analyse(keras.Model([tokens, places], layers.Dense(2)(x))).groups
    assert (group.layers, group.size) == (("tokens", "places"), 8)

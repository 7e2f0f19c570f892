"""Tables that integers pick from, forwards and backwards."""

import keras
import numpy as np
import pytest
from following import sizes, whole
from keras import layers, ops
from laws import check_law

import keras_slim as slim

TOKENS = np.random.default_rng(0).integers(0, 9, (3, 5))


def language_model(between, **options):
    """Returns a model whose table is read backwards at its end."""
    inputs = keras.Input((5,), dtype="int32")
    table = layers.ReversibleEmbedding(9, 8, name="table", **options)
    return keras.Model(inputs, table(between(table(inputs)), reverse=True))


def residual(x):
    return x + layers.Dense(8, name="out")(layers.Dense(6, "relu", name="hidden")(layers.LayerNormalization()(x)))


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}])
def test_a_table_that_is_read_backwards_is_cut_with_what_it_reads(options, tmp_path):
    model = language_model(residual, **options)
    assert sizes(model) == {"table": 8, "hidden": 6}
    for each in check_law(model, TOKENS, atol_whole=1e-6):
        each.save(tmp_path / "model.keras")
        np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(TOKENS), each(TOKENS))


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}])
def test_a_table_works_where_it_is_read_backwards(options):
    assert slim.profile(language_model(lambda x: x, **options)).macs == 5 * 8 * 9


def test_a_table_that_reads_what_has_no_units_stays_whole():
    inputs, other = keras.Input((5,), dtype="int32"), keras.Input((5, 8))
    table = layers.ReversibleEmbedding(9, 8, name="table")
    model = keras.Model(
        [inputs, other], layers.Dense(2)(layers.Concatenate()([table(inputs), table(other, reverse=True)]))
    )
    assert "never cut" in whole(model)["table"]


def test_other_axes_of_a_tensor_from_which_tensors_take_are_handed_on():
    inputs = keras.Input((5,), dtype="int32")
    rows = layers.Dense(6, name="rows")(ops.ones((9, 4)) * ops.cast(ops.sum(inputs), "float32"))
    model = keras.Model(inputs, layers.Dense(2)(ops.take(rows, inputs, axis=0)))
    assert sizes(model) == {"rows": 6}
    check_law(model, TOKENS, atol_whole=1e-6)


def test_the_axis_that_a_tensor_takes_along_stays_whole():
    inputs = keras.Input((5,), dtype="int32")
    hidden = layers.Dense(9, name="hidden")(ops.cast(inputs, "float32"))
    model = keras.Model(inputs, layers.Dense(2)(ops.take(hidden, inputs[0], axis=1)))
    assert "which elements are taken is not known" in whole(model)["hidden"]


def test_the_axes_of_what_is_taken_are_handed_on():
    """Rounded units pick rows of a constant table: each of them has three numbers then."""
    inputs = keras.Input((5,), dtype="int32")
    hidden = layers.Dense(6, "sigmoid", name="hidden")(ops.cast(inputs, "float32"))
    x = ops.take(np.arange(27, dtype="float32").reshape(9, 3), ops.cast(hidden * 8, "int32"), axis=0)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    assert sizes(model) == {"hidden": 6}
    check_law(model, TOKENS, atol_whole=1e-6)

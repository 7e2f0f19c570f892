"""Models whose dense layers keep hashed numbers, and back."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.layers import HashedDense

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 12)).astype("float32")


def network():
    stack = [layers.Dense(10, "relu", name="a"), layers.Dense(6, "relu", use_bias=False, name="b")]
    return keras.Sequential([keras.Input((12,)), *stack, layers.Dense(3, name="c")], name="net")


def test_each_kernel_is_the_nearest_that_its_layer_can_have():
    model = network()
    made = slim.hash(model, 0.75)
    for layer in model.layers:
        twin = made.get_layer(layer.name)
        reference = HashedDense(layer.units, ratio=0.75, seed=twin.seed)
        reference.build((None, layer.kernel.shape[0]))
        reference.assign_kernel(np.asarray(layer.kernel))
        np.testing.assert_array_equal(twin.kernel, reference.kernel)
        assert twin.hashed_kernel.shape[0] == round(np.prod(layer.kernel.shape) / 4)
        if layer.use_bias:
            np.testing.assert_array_equal(twin.bias, layer.bias)
    assert [layer.seed for layer in made.layers] == [0, 1, 2]


def test_what_was_hashed_comes_back_as_it_was():
    """A kernel that the layer can have is kept: hashed with the same seed, plain and hashed again it is the same."""
    made = slim.hash(network(), 0.75, seed=5)
    again = slim.hash(slim.dehash(made), 0.75, seed=5)
    for one, other in zip(made.get_weights(), again.get_weights(), strict=True):
        used = one != 0  # a bucket that no place is in
        np.testing.assert_allclose(other[used], one[used], rtol=1e-6)
    np.testing.assert_allclose(again(X), made(X), rtol=1e-5, atol=1e-6)


def test_the_plain_twin_answers_as_the_hashed_model_and_has_stock_layers():
    made = slim.hash(network(), 0.75)
    plain = slim.dehash(made)
    assert {type(layer) for layer in plain.layers} == {layers.Dense}
    np.testing.assert_allclose(plain(X), made(X), rtol=1e-5, atol=1e-6)
    assert [tuple(layer.kernel.shape) for layer in plain.layers] == [(12, 10), (10, 6), (6, 3)]


def test_options_by_layer():
    model = network()
    made = slim.hash(model, {layers.Dense: 0.5, "b": 0.75, "c": None})
    numbers = [getattr(layer, "hashed_kernel", layer.kernel).shape[0] for layer in made.layers]
    assert numbers == [60, 15, 6]
    assert type(made.get_layer("c")) is layers.Dense
    named = slim.hash(model, {"a": 0.5}, skip=("first",))
    assert [type(layer) for layer in named.layers] == [HashedDense, layers.Dense, layers.Dense]


def test_a_constraint_is_left_out_and_a_regularizer_kept():
    dense = layers.Dense(4, kernel_constraint="unit_norm", kernel_regularizer="l2", name="a")
    made = slim.hash(keras.Sequential([keras.Input((12,)), dense]), 0.5).layers[0]
    assert made.kernel_constraint is None
    assert isinstance(made.kernel_regularizer, keras.regularizers.L2)


def test_a_regularizer_that_is_about_columns_is_left_out():
    dense = layers.Dense(4, kernel_regularizer="orthogonal_regularizer", bias_regularizer="l2")
    made = slim.hash(keras.Sequential([keras.Input((12,)), dense]), 0.5)
    assert made.layers[0].kernel_regularizer is None
    assert len(made.losses) == 1


@pytest.mark.parametrize(
    ("ratio", "options", "error", "message"),
    [
        (1.5, {}, ValueError, "`ratio` of `hash`"),
        ("half", {}, TypeError, "`ratio` of `hash`"),
        ({"z": 0.5}, {}, ValueError, "`ratio` of `hash`"),
        ({"norm": 0.5}, {}, ValueError, "`ratio` of `hash`.*'norm' is a `BatchNormalization`"),
        (0.5, {"seed": -1}, ValueError, "`seed` of `hash`"),
    ],
)
def test_wrong_arguments_are_refused(ratio, options, error, message):
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4), layers.BatchNormalization(name="norm")])
    with pytest.raises(error, match=message):
        slim.hash(model, ratio, **options)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files are made by TensorFlow's converter")
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_the_file_for_a_phone_has_the_kernel_and_no_lookup(quantize, tmp_path):
    model = keras.Sequential([keras.Input((300,)), HashedDense(200, ratio=0.9, activation="relu", name="a")])
    samples = RNG.normal(size=(64, 300)).astype("float32")
    report = slim.export_tflite(model, tmp_path / "model.tflite", quantize=quantize, data=samples, verbose=0)
    assert report.agreement.operations == {"FULLY_CONNECTED": 1}
    assert report.agreement.sqnr_db > (100 if quantize is None else 25)
    assert (tmp_path / "model.tflite").stat().st_size > 300 * 200 * (4 if quantize is None else 1)

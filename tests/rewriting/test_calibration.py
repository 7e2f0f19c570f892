"""Ranges from data alone, without training."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import randomise

import keras_slim as slim
from keras_slim.errors import SlimWarning
from keras_slim.quantizers import Int, LearnedStep
from keras_slim.rewriting.calibration import learn_ranges

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 3)).astype("float32")
array = keras.ops.convert_to_numpy


def small():
    """Two dense layers, with a batch normalization and a dropout that training would change."""
    inside = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(2, name="b")], name="in")
    stack = [layers.Dense(4, "relu", name="a"), layers.Dropout(0.5, seed=1), inside]
    return randomise(keras.Sequential([keras.Input((3,)), *stack]))


def int8(model, **options):
    return slim.quantize(model, "int", "int", skip=(), **options)


def ranges(twin):
    """The ends of each range by the name of its layer, in the order of the model."""
    found = {}
    for layer in twin._flatten_layers():
        for name, place in getattr(layer, "places", {}).items():
            if place.variables:
                found[layer.name, name] = [float(array(place.variables[side])) for side in ("low", "high")]
    return found


def mean_ends(values, *parts):
    """The mean over batches of the lowest and the highest number."""
    batches = np.split(values, parts)
    return [np.mean([min(each.min(), 0) for each in batches]), np.mean([max(each.max(), 0) for each in batches])]


def test_ranges_are_the_mean_over_batches_of_what_comes_unrounded():
    model = small()
    found = ranges(slim.calibrate(int8(model), X))
    hidden = np.maximum(X @ array(model.layers[0].kernel) + array(model.layers[0].bias), 0)
    norm = model.get_layer("in").layers[0]
    normed = array(norm(hidden))
    expected = {"a": X, "b": normed, "b_quantize": array(model(X))}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name, "inputs"], mean_ends(values, 128, 256), rtol=1e-4, err_msg=name)


def test_nothing_but_ranges_is_another_and_the_model_is_as_it_was():
    twin = int8(small())
    twin.get_layer("in").trainable = False  # frozen layers learn none in training
    before = [array(variable) for variable in twin.variables]
    made = slim.calibrate(twin, X, samples=200)
    for variable, value in zip(twin.variables, before, strict=True):
        np.testing.assert_array_equal(array(variable), value)
    for old, new in zip(twin.variables, made.variables, strict=True):
        is_range = old.name in ("inputs_low", "inputs_high", "inputs_batches")
        assert np.array_equal(array(old), array(new)) != is_range, old.path
    for layer in made._flatten_layers():
        assert getattr(layer, "rounding", "all") == "all"
        assert not getattr(layer, "is_watching", False)
    assert type(made) is keras.Sequential
    assert not made.get_layer("in").trainable


def test_what_was_learned_before_is_forgotten():
    twin = int8(small())
    learn_ranges(twin, [(1000 * X, None, None)])
    assert ranges(slim.calibrate(twin, X)) == ranges(slim.calibrate(int8(small()), X))


def test_a_failure_leaves_ranges_and_layers_as_they_were():
    twin = slim.calibrate(int8(small()), X)
    before = ranges(twin)
    with pytest.raises(ValueError, match="fails when it is called on this data"):
        learn_ranges(twin, [(X, None, None), (X[:, :2], None, None)])
    assert ranges(twin) == before
    states = {(layer.rounding, layer.is_watching) for layer in twin._flatten_layers() if hasattr(layer, "rounding")}
    assert states == {("all", False)}


class Batches(keras.utils.PyDataset):
    """As `fit` takes them."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return X[30 * index : 30 * index + 30], np.zeros(30)


def endless():
    while True:
        yield X


def dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(X).batch(128)


@pytest.mark.parametrize("make", [lambda: (X, np.zeros(300)), dataset, endless], ids=["arrays", "dataset", "generator"])
def test_data_comes_in_any_form(make):
    twin = int8(small())
    expected = ranges(slim.calibrate(twin, X if make is not endless else iter([X]), samples=300))
    assert ranges(slim.calibrate(twin, make(), samples=300)) == expected


def test_small_batches_are_taken_together():
    found = ranges(slim.calibrate(int8(small()), Batches()))
    np.testing.assert_allclose(found["a", "inputs"], mean_ends(X, 150), rtol=1e-6)  # 5 of 30 are 128 and more


@pytest.mark.parametrize("size", [1, 8])
def test_batches_of_a_fixed_size_are_taken_together_too(size):
    free = small()
    fixed = keras.Sequential([keras.Input((3,), batch_size=size), *free.layers])
    expected = ranges(slim.calibrate(int8(free), X, samples=256))
    found = ranges(slim.calibrate(int8(fixed), X, samples=256))
    np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=1e-5)


def test_a_layer_for_batches_of_one_size_gets_them():
    stack = [layers.LSTM(4, stateful=True), layers.Dense(2, name="a")]
    model = int8(keras.Sequential([keras.Input((5, 3), batch_size=2), *stack]))
    x = X[:50].reshape(10, 5, 3)
    hidden = np.concatenate([array(model.layers[0](x[i : i + 2])) for i in range(0, 10, 2)])
    model.layers[0].reset_states()
    found = ranges(slim.calibrate(model, x))
    np.testing.assert_allclose(found["a", "inputs"], mean_ends(hidden, *range(2, 10, 2)), rtol=1e-5)


def test_quantizers_of_each_kind_begin_with_the_data():
    stack = [
        slim.layers.QuantDense(4, kernel_quantizer="trained_ternary", input_quantizer=LearnedStep(signed=True)),
        slim.layers.QuantDense(2, kernel_quantizer=Int(4, ranges="average"), input_quantizer=Int(ranges="trained")),
    ]
    twin = keras.Sequential([keras.Input((3,)), *stack])
    made = slim.calibrate(twin, X)
    first, second = made.layers
    step = 2 * np.abs(X[:128]).mean() / np.sqrt(7)
    np.testing.assert_allclose(array(first.places["inputs"].variables["step"]), step, rtol=1e-5)
    np.testing.assert_allclose(
        array(second.places["kernel"].variables["high"]), np.abs(array(second.kernel)).max(), rtol=1e-6
    )
    assert float(first.places["kernel"].variables["positive"]) > 0
    assert float(second.places["inputs"].variables["low"]) < 0


def test_eight_bits_with_the_ranges_of_data_answer_as_the_model_does():
    model = small()
    twin = slim.calibrate(int8(model), X)
    error = array(twin(X)) - array(model(X))
    assert 10 * np.log10(np.sum(array(model(X)) ** 2) / np.sum(error**2)) > 35


def test_layers_in_wrappers_learn_too():
    wrapped = layers.TimeDistributed(slim.layers.QuantDense(2, input_quantizer="int"))
    x = X.reshape(60, 5, 3)
    made = slim.calibrate(keras.Sequential([keras.Input((5, 3)), wrapped]), x)
    high = made.layers[0].layer.places["inputs"].variables["high"]
    np.testing.assert_allclose(array(high), x.max(axis=(0, 2)).mean(), rtol=1e-6)  # the wrapper calls it step by step


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (None, ValueError, "`data` of `calibrate`.*to take ranges from"),
        (X[:, :2], ValueError, "`data` of `calibrate`.*batches of shape"),
        (X[:0], ValueError, "`data` of `calibrate`.*at least one"),
        (iter(()), ValueError, "no batch.*used up"),
        ("images", TypeError, "`data` of `calibrate`.*arrays"),
        (np.where(X > 2, np.nan, X), ValueError, r"`calibrate` .*not finite: ranges of 'a' \(inputs\)"),
    ],
)
def test_what_is_wrong_with_data_is_told(data, error, message):
    with pytest.raises(error, match=message):
        slim.calibrate(int8(small()), data)


def test_a_model_without_rounding_is_sent_to_quantize():
    with pytest.raises(ValueError, match=r"`model` of `calibrate`.*slim.quantize\(model"):
        slim.calibrate(small(), X)


def test_no_model_and_no_number_are_refused():
    with pytest.raises(TypeError, match="`model` of `calibrate`.*Keras model"):
        slim.calibrate("model", X)
    with pytest.raises(ValueError, match="`samples` of `calibrate`"):
        slim.calibrate(int8(small()), X, samples=0)


def test_a_range_that_collapsed_is_told():
    with pytest.warns(SlimWarning, match=r"`calibrate` saw nothing but zeros in 'a' \(inputs\), "):
        slim.calibrate(int8(small()), 0 * X)

"""Kinds of models and data that people export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import SlimWarning

rng = np.random.default_rng(0)
x = rng.normal(size=(20, 4, 4, 3)).astype("float32")


def ending_in(search, **options):
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, search(layers.Conv2D(5, 1)(inputs), **options))


@pytest.mark.parametrize(
    ("search", "options"),
    [
        (ops.argmax, {"axis": -1}),
        (ops.argmin, {"axis": 1}),
        (ops.argmax, {"axis": 3, "keepdims": True}),
        (ops.argmin, {"axis": -2, "keepdims": True}),
    ],
)
def test_a_model_may_end_in_the_place_of_the_largest(search, options, tmp_path):
    model = ending_in(search, **options)
    report = slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0)
    assert report.agreement.sqnr_db > 100
    assert [type(layer).__name__ for layer in model.operations][-1] == search.__name__.capitalize()


def test_equal_numbers_give_the_first_place(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, ops.argmax(ops.relu(inputs), axis=-1))
    data = np.concatenate([-np.ones((3, 4)), rng.normal(size=(8, 4))]).astype("float32")
    assert slim.export_tflite(model, tmp_path / "a.tflite", data=data, verbose=0).agreement.sqnr_db > 100


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return x[5 * index : 5 * index + 5], np.zeros(5)


@pytest.mark.parametrize(
    "data",
    [
        lambda: tf.data.Dataset.from_tensor_slices((x, np.zeros(20))).batch(5),
        lambda: tf.data.Dataset.from_tensor_slices(x).batch(8),
        Batches,
        lambda: iter([(x[:10], np.zeros(10)), (x[10:], np.zeros(10))]),
    ],
    ids=["dataset", "inputs alone", "PyDataset", "generator"],
)
def test_data_may_come_in_batches_as_in_fit(data, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)])
    path = tmp_path / "a.tflite"
    by_batches = slim.export_tflite(model, path, quantize="int8", data=data(), verbose=0)
    content = path.read_bytes()
    slim.export_tflite(model, path, quantize="int8", data=x, verbose=0)
    assert path.read_bytes() == content
    assert not by_batches.random_samples
    assert slim.verify_tflite(model, path, data()).sqnr_db > 10


def test_of_endless_data_500_samples_are_taken(tmp_path):
    drawn = []

    def endless():
        while True:
            drawn.append(1)
            yield x, np.zeros(20)

    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)])
    slim.export_tflite(model, tmp_path / "a.tflite", data=endless(), verbose=0)
    assert len(drawn) == 25


@pytest.mark.parametrize("data", [None, np.array([["a"]])])
def test_texts_are_refused_with_the_way_out(data, tmp_path):
    inputs = keras.Input((1,), dtype="string", name="word")
    lookup = layers.StringLookup(vocabulary=["a"], output_mode="one_hot")
    model = keras.Model(inputs, layers.Dense(2)(lookup(inputs)))
    with pytest.raises(ValueError, match="'word' takes texts.*keras.Model"):
        slim.export_tflite(model, tmp_path / "a.tflite", data=data, verbose=0)
    assert not list(tmp_path.iterdir())


def test_the_advice_for_loops_says_what_it_costs(tmp_path):
    model = keras.Sequential([keras.Input((3, 2)), layers.LSTM(2)])
    with pytest.raises(slim.errors.ExportError, match="dynamic.*larger than the float32 file"):
        slim.export_tflite(model, tmp_path / "a.tflite", "int8", np.zeros((4, 3, 2), "float32"), verbose=0)


def test_a_model_may_end_in_the_best_few(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, list(ops.top_k(layers.Dense(1000)(layers.Flatten()(inputs)), 10)))
    report = slim.export_tflite(model, tmp_path / "a.tflite", "int8", x, verbose=0)
    scores, places = sorted(report.agreement.outputs, key=lambda output: output.is_whole)
    assert places.is_whole
    assert scores.sqnr_db > 20
    assert 0.8 < places.same_class < 1
    assert places.sqnr_db < 10, "where a place changes, decibels tell nothing"


@pytest.mark.parametrize(
    "resize",
    [
        layers.Resizing(6, 5),
        layers.Resizing(6, 5, interpolation="nearest"),
        layers.Resizing(6, 2, crop_to_aspect_ratio=True),
    ],
    ids=["bilinear", "nearest", "cropped"],
)
def test_a_model_may_resize_pictures(resize, tmp_path):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layers.Conv2D(8, 1)(resize(inputs)))
    assert slim.export_tflite(model, tmp_path / "a.tflite", "int8", x, verbose=0).agreement.sqnr_db > 25


@pytest.mark.parametrize("options", [{"interpolation": "bicubic"}, {"interpolation": "lanczos3"}, {"antialias": True}])
def test_a_way_to_resize_that_phones_have_not_is_refused_with_the_one_they_have(options, tmp_path):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, ops.image.resize(inputs, (2, 2), **options))
    with pytest.raises(slim.errors.ExportError, match="no built-in operation for.*'bilinear' or 'nearest'"):
        slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0)
    assert not list(tmp_path.iterdir())


def test_an_input_may_be_called_as_a_word_of_python(tmp_path):
    inputs = {"in": keras.Input((4,), name="in"), "self": keras.Input((4,), name="self")}
    model = keras.Model(inputs, layers.Dense(2)(inputs["in"] - inputs["self"]))
    data = {name: rng.normal(size=(8, 4)).astype("float32") for name in inputs}
    report = slim.export_tflite(model, tmp_path / "a.tflite", data=data, verbose=0)
    assert {tensor.name for tensor in report.inputs} == {"input_in", "input_self"}
    assert report.agreement.sqnr_db > 100


def test_int8_that_makes_a_file_larger_is_told(tmp_path):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layers.DepthwiseConv2D(2)(layers.DepthwiseConv2D(2)(inputs)))
    with pytest.warns(SlimWarning, match="bytes in int8, and would have about .* in float32.*leave `quantize` out"):
        report = slim.export_tflite(model, tmp_path / "a.tflite", "int8", x, verbose=0)
    in_float32 = slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0).bytes
    assert in_float32 < report.bytes
    assert report.float32_bytes == pytest.approx(in_float32, rel=0.08)


def test_int8_that_makes_a_file_smaller_is_not(tmp_path, recwarn):
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)])
    report = slim.export_tflite(model, tmp_path / "a.tflite", "int8", x, verbose=0)
    assert report.bytes > 4 * model.count_params(), "so that it was looked at"
    assert slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0).bytes > report.bytes
    assert report.float32_bytes is None
    assert not [each for each in recwarn if issubclass(each.category, SlimWarning)]


@pytest.mark.filterwarnings("ignore:XNNPACK runs")
def test_a_loop_is_not_delegated(tmp_path):
    """Its unused output, and the bias that the layer behind it does without, both have the number -1 in the file."""
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(2)(inputs)))
    report = slim.export_tflite(model, tmp_path / "a.tflite", verbose=0)
    assert report.agreement.operations["WHILE"] == 1
    assert report.agreement.delegated["FULLY_CONNECTED"] == 1
    assert "WHILE" not in report.agreement.delegated

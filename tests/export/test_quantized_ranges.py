"""A model with few bits becomes a file with the ranges it has learned, and samples do not count."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import randomise
from watching import watch

import keras_slim as slim
from keras_slim.errors import ExportError
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.layers import QuantConv2D, QuantDense, Quantize
from keras_slim.quantizers import Int

BITS = {"kernel": "int", "activations": "int", "skip": ()}
CONV = {"kernel_quantizer": "int", "input_quantizer": "int"}


def images(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def twin(*between, shape=(6, 6, 2), **options):
    """A twin of a small convolutional model, with ranges that it has learned from normal numbers."""
    model = keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, name="stem"), *between])
    return watch(slim.quantize(randomise(model), **{**BITS, **options}), images(32, *shape))


def content(report):
    with open(report.path, "rb") as file:
        return file.read()


def test_no_sample_is_needed_and_none_changes_the_file(tmp_path):
    model = twin(layers.ReLU(), layers.Conv2D(3, 3))
    alone = slim.export_tflite(model, tmp_path / "alone.tflite", "int8", verbose=0)
    beside = slim.export_tflite(model, tmp_path / "beside.tflite", "int8", images(8, 6, 6, 2, scale=9.0), verbose=0)
    assert content(alone) == content(beside)
    assert (alone.random_samples, beside.random_samples) == (True, False)
    assert alone.agreement.quantize == "int8"
    assert min(alone.agreement.sqnr_db, beside.agreement.sqnr_db) > 35
    scale, zero = TfliteFile(alone.path).inputs["input"]["quantization"]
    low, high = (float(model.layers[0].places["inputs"].variables[end]) for end in ("low", "high"))
    assert scale == pytest.approx((high - low) / 255, rel=1e-5)
    assert zero == round(-low / scale) - 128


def test_random_samples_fill_the_range_of_the_inputs_and_lie_on_its_integers(tmp_path, monkeypatch):
    import keras_slim.export.verification as verification

    model = twin()
    for side, end in {"low": 96.0, "high": 160.0}.items():
        model.layers[0].places["inputs"].variables[side].assign(end)
    seen = []
    answers = verification.keras_answers
    monkeypatch.setattr(verification, "keras_answers", lambda *given: seen.append(given[2]) or answers(*given))
    report = slim.export_tflite(model, tmp_path / "far.tflite", "int8", verbose=0)
    (samples,) = seen[0].values()
    scale, zero = TfliteFile(report.path).inputs["input"]["quantization"]
    integers = samples / scale + zero
    np.testing.assert_allclose(integers, integers.round(), atol=1e-3)
    assert samples.min() < 40  # the range begins at 0, as it holds 0
    assert samples.max() > 120


def test_a_half_way_number_is_no_difference(tmp_path):
    """Inputs half-way between two integers, which Keras rounds up, and what reads the file to the even one."""
    dense = QuantDense(4, kernel_initializer="identity", use_bias=False, **CONV)
    model = keras.Sequential([keras.Input((4,)), dense, Quantize()])
    for layer in model.layers:
        for name, value in {"low": -128.0, "high": 127.0, "batches": 1}.items():
            layer.places["inputs"].variables[name].assign(value)
    x = np.arange(-50, 50).reshape(25, 4).astype("float32") + 0.5
    report = slim.export_tflite(model, tmp_path / "ties.tflite", "int8", x, verbose=0)
    assert report.agreement.max_abs_error == 0
    assert slim.verify_tflite(model, report.path, x).max_abs_error == 0


def test_what_stays_real_stays_float_in_the_file(tmp_path):
    model = twin(layers.ReLU(), layers.Conv2D(4, 3, name="middle"), layers.Conv2D(2, 1, name="head"), skip=("head",))
    report = slim.export_tflite(model, tmp_path / "mixed.tflite", "int8", verbose=0)
    assert report.agreement.sqnr_db > 35
    (output,) = TfliteFile(report.path).outputs.values()
    assert output["dtype"] == np.float32
    assert report.agreement.operations == {"CONV_2D": 3, "DEQUANTIZE": 1}


def test_of_a_model_without_ranges_samples_are_asked_for_as_ever(tmp_path):
    model = keras.Sequential([keras.Input((4,)), QuantDense(3, kernel_quantizer="ternary", input_quantizer="sign")])
    with pytest.raises(ValueError, match=r"`data` of `export_tflite`.*100 to 500 typical samples"):
        slim.export_tflite(model, tmp_path / "signs.tflite", "int8")


def test_an_export_before_training_is_refused(tmp_path):
    model = slim.quantize(keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(4, 3, name="stem")]), **BITS)
    with pytest.raises(RuntimeError, match=r"have learned none: \['stem', 'stem_quantize'\]\. Train the model first"):
        slim.export_tflite(model, tmp_path / "untrained.tflite", "int8")
    model.layers[0].rounding = "nothing"
    with pytest.raises(RuntimeError, match=r"none: \['stem_quantize'\]"):
        slim.export_tflite(model, tmp_path / "untrained.tflite", "int8")


def test_a_range_that_has_collapsed_is_named(tmp_path):
    model = twin(layers.ReLU(name="dead"), layers.Conv2D(3, 3, name="reads_zeros"))
    model.get_layer("stem").bias.assign([-99.0] * 4)
    places = model.get_layer("reads_zeros").places
    places["inputs"].variables["batches"].assign(0)
    watch(model, images(8, 6, 6, 2))
    with pytest.raises(ExportError, match=r"all that came was 0: \['reads_zeros'\].*dead units"):
        slim.export_tflite(model, tmp_path / "dead.tflite", "int8")


@pytest.mark.parametrize("ranges", ["average", "trained"])
def test_weights_with_a_range_that_is_kept_are_found_when_they_have_moved_inside_it(ranges, tmp_path):
    conv = QuantConv2D(4, 3, use_bias=False, kernel_quantizer=Int(ranges=ranges), input_quantizer="int")
    model = keras.Sequential([keras.Input((6, 6, 2)), conv, Quantize()])
    watch(randomise(model), images(32, 6, 6, 2))
    model.layers[0].kernel.assign(model.layers[0].kernel * 0.6)
    report = slim.export_tflite(model, tmp_path / "moved.tflite", "int8", images(16, 6, 6, 2), verbose=0)
    assert report.agreement.max_abs_error == 0


def test_a_model_of_half_precision_takes_its_ranges_along(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 2)), QuantConv2D(4, 3, dtype="mixed_bfloat16", **CONV), Quantize()])
    watch(randomise(model), images(32, 6, 6, 2))
    report = slim.export_tflite(model, tmp_path / "half.tflite", "int8", verbose=0)
    assert report.agreement.operations == {"CONV_2D": 1}
    assert report.agreement.sqnr_db > 30


def test_an_input_that_is_rounded_for_some_of_its_readers_is_refused(tmp_path):
    """The converter drops it for the others, and the runtime crashes on such a file."""

    def short_cut(start):
        inputs = keras.Input((4, 4, 2))
        behind = start(inputs)
        model = keras.Model(inputs, layers.Add()([behind, layers.Conv2D(2, 1)(behind)]))
        x = images(8, 4, 4, 2)
        return slim.export_tflite(watch(slim.quantize(model, **BITS), x), tmp_path / "a.tflite", "int8", x, verbose=0)

    with pytest.raises(ExportError, match="broken: ADD has lost what it reads.*put a `keras_slim.layers.Quantize"):
        short_cut(lambda inputs: inputs)
    assert not list(tmp_path.iterdir())
    assert short_cut(Quantize()).float_islands == ()

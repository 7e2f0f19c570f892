import math

import keras
import numpy as np
import pytest

from keras_slim.errors import ExportError
from keras_slim.export import verify_tflite
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.export.verification import file_answers


def test_sound_files_pass(classifier, exported, pictures):
    for quantize, report in exported.items():
        assert verify_tflite(classifier, report.path, pictures).quantize == quantize


@pytest.mark.parametrize("quantize", [None, "float16", "dynamic", "int8"])
def test_file_of_another_model_is_caught(stranger, exported, pictures, quantize):
    with pytest.raises(ExportError, match=r"does not answer like the model.*'output_0' reaches"):
        verify_tflite(stranger, exported[quantize].path, pictures)


def test_any_tolerance_lets_one_look_at_the_numbers(stranger, exported, pictures):
    agreement = verify_tflite(stranger, exported[None].path, pictures, tolerance=-math.inf)
    assert agreement.sqnr_db < 5
    assert agreement.relative_error > 0.1


def test_measures_agree_with_arithmetic_on_the_raw_answers(classifier, exported, pictures):
    path = exported["int8"].path
    agreement = verify_tflite(classifier, path, pictures)
    file, expected = TfliteFile(path), keras.ops.convert_to_numpy(classifier(pictures, training=False))
    received = file_answers(file, {"pictures": pictures})["output_0"]
    assert agreement.max_abs_error == pytest.approx(np.abs(expected - received).max())
    assert agreement.sqnr_db == pytest.approx(
        10 * np.log10((expected**2).sum() / ((expected - received) ** 2).sum()), rel=1e-4
    )
    assert agreement.same_class >= (expected.argmax(1) == received.argmax(1)).mean()


def test_sample_of_another_shape_names_both(classifier, exported):
    with pytest.raises(ValueError, match=r"\(6, 6, 2\).*`x` of `verify_tflite`.*\(3, 6, 6, 1\)"):
        verify_tflite(classifier, exported[None].path, np.zeros((3, 6, 6, 1)))


def test_model_with_other_inputs_or_outputs_is_caught(exported, pictures):
    smaller = keras.Sequential([keras.Input((5, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(5)])
    with pytest.raises(ExportError, match=r"'pictures' of .* has the shape \(1, 6, 6, 2\).*\(1, 5, 6, 2\)"):
        verify_tflite(smaller, exported[None].path, pictures[:, :5])
    wider = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(6)])
    with pytest.raises(ExportError, match=r"\(24, 6\) in the model and \(24, 5\) in the file"):
        verify_tflite(wider, exported[None].path, pictures)
    inputs = keras.Input((6, 6, 2))
    flat = keras.layers.Flatten()(inputs)
    with pytest.raises(ExportError, match=r"The model has .* where the file has"):
        verify_tflite(keras.Model(inputs, [flat, flat]), exported[None].path, pictures)


def test_model_that_answers_nan_is_not_called_proved(exported, pictures):
    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(5)])
    model.layers[-1].bias.assign(np.full(5, np.nan))
    with pytest.raises(ExportError, match="itself answers NaN"):
        verify_tflite(model, exported[None].path, pictures)


@pytest.mark.parametrize("axis", [None, 0])
def test_model_that_sums_over_samples_is_refused(exported, pictures, axis):
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, keras.ops.sum(inputs, axis=axis))
    with pytest.raises(ExportError, match=r"'output_0' of the model has the shape \(.*a row for each of 24 samples"):
        verify_tflite(model, exported[None].path, pictures)


def test_missing_or_broken_file(classifier, pictures, exported, tmp_path):
    with pytest.raises(FileNotFoundError):
        verify_tflite(classifier, tmp_path / "missing.tflite", pictures)
    with open(exported[None].path, "rb") as file:
        content = file.read()
    for broken in (b"", b"nonsense", content[: len(content) // 2]):
        (tmp_path / "broken.tflite").write_bytes(broken)
        with pytest.raises(ExportError, match="is not a LiteRT file"):
            verify_tflite(classifier, tmp_path / "broken.tflite", pictures)


def test_one_damaged_weight_is_caught(classifier, pictures, exported, tmp_path):
    kernel = classifier.layers[-1].get_weights()[0]
    value = kernel[7, 3].tobytes()
    with open(exported[None].path, "rb") as file:
        content = file.read()
    assert content.count(value) == 1
    (tmp_path / "damaged.tflite").write_bytes(content.replace(value, np.float32(9).tobytes()))
    with pytest.raises(ExportError, match="does not answer like the model"):
        verify_tflite(classifier, tmp_path / "damaged.tflite", pictures)


def test_file_that_keras_exported_with_its_own_names(tmp_path):
    import tensorflow as tf

    inputs = [keras.Input((4,), name="z"), keras.Input((4,), name="a")]
    model = keras.Model(inputs, keras.layers.Subtract()(inputs))
    path = str(tmp_path / "model.tflite")
    specs = [[tf.TensorSpec((1, 4)), tf.TensorSpec((1, 4))]]
    model.export(path, format="litert", verbose=False, input_signature=specs)
    assert list(TfliteFile(path).inputs) != ["z", "a"]
    x = [np.ones((2, 4)), np.full((2, 4), 3.0)]
    assert verify_tflite(model, path, x).sqnr_db == 150
    assert verify_tflite(model, path, {"a": x[1], "z": x[0]}).sqnr_db == 150

import numpy as np
import pytest

from keras_slim.errors import ExportError
from keras_slim.export.tflite_file import TfliteFile, dequantize, match_names, quantize

INT8 = {"dtype": np.int8, "quantization": (0.5, -10)}


def test_quantize_by_hand():
    values = np.array([-100, -59, 0, 0.26, 1, 68.5, 100])
    np.testing.assert_array_equal(quantize(values, INT8), [-128, -128, -10, -9, -8, 127, 127])
    np.testing.assert_array_equal(dequantize(np.array([-128, -10, 127], "int8"), INT8), [-59, 0, 68.5])


def test_unquantized_integers_stay_what_they_are():
    plain = {"dtype": np.int32, "quantization": (0.0, 0)}
    np.testing.assert_array_equal(quantize(np.array([3, 70]), plain), [3, 70])
    np.testing.assert_array_equal(dequantize(np.array([3, 70]), plain), [3, 70])


def test_names_are_matched_by_name_and_else_by_number():
    assert match_names(["z", "a"], ["a", "z"]) == {"z": "z", "a": "a"}
    wanted = [f"input_{index}" for index in range(12)]
    available = sorted(["args_0", *(f"args_0_{index}" for index in range(1, 12))])
    assert match_names(wanted, available)["input_0"] == "args_0"
    assert match_names(wanted, available)["input_2"] == "args_0_2"
    assert match_names(wanted, available)["input_11"] == "args_0_11"
    with pytest.raises(ExportError, match=r"\['a'\] where the file has \['a', 'b'\]"):
        match_names(["a"], ["b", "a"])


def test_int8_file_takes_and_gives_integers(exported):
    file = TfliteFile(exported["int8"].path)
    assert file.inputs["pictures"]["dtype"] is np.int8
    assert file.outputs["output_0"]["dtype"] is np.int8
    assert file.answer({"pictures": np.zeros((1, 6, 6, 2), "float32")})["output_0"].dtype == "float32"


def test_file_with_tensorflow_operations_is_refused_by_name(tmp_path):
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(2)])
    path = str(tmp_path / "flex.tflite")
    model.export(path, format="litert", verbose=False, input_signature=[tf.TensorSpec((None, 5, 3))])
    with pytest.raises(ExportError, match=r"custom Flex\w+.*built-in operations only"):
        TfliteFile(path)


def test_inputs_and_outputs_stand_in_the_order_of_the_file(tmp_path):
    import keras

    import keras_slim as slim

    last, first = keras.Input((3,), name="last"), keras.Input((3,), name="first")
    model = keras.Model([last, first], {"b": last - first, "a": keras.layers.Dense(2)(first)})
    slim.export_tflite(model, tmp_path / "net.tflite", verbose=0)
    file = TfliteFile(tmp_path / "net.tflite")
    for named, stored in (
        (file.inputs, file.interpreter.get_input_details()),
        (file.outputs, file.interpreter.get_output_details()),
    ):
        assert len(named) == 2
        assert [details["index"] for details in named.values()] == [details["index"] for details in stored]

"""What a phone developer has to know of a file: what goes in, what comes out, what runs where."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import SlimWarning
from keras_slim.export import FileTensor
from keras_slim.export.tflite_file import TfliteFile, describe


def test_the_report_tells_what_the_interpreter_tells(exported):
    report = exported["int8"]
    (given,) = Interpreter(report.path).get_input_details()
    scale, zero_point = given["quantization"]
    assert report.inputs == (FileTensor("pictures", (1, 6, 6, 2), "int8", scale, zero_point),)
    assert report.outputs[0].name == "output_0"
    assert (report.outputs[0].dtype, report.outputs[0].shape, report.outputs[0].size) == ("int8", (1, 5), 5)
    assert exported[None].inputs == (FileTensor("pictures", (1, 6, 6, 2), "float32"),)


def test_it_is_in_the_table_and_in_json(exported):
    report = exported["int8"]
    line = next(line for line in str(report).splitlines() if line.startswith("input"))
    tensor = report.inputs[0]
    assert line.split(maxsplit=1)[1] == (
        f"pictures: int8 (1, 6, 6, 2), scale {tensor.scale:.9g}, zero point {tensor.zero_point}"
    )
    plain = json.loads(json.dumps(report.to_dict()))
    assert (
        plain["inputs"][0]
        == tensor.to_dict()
        == {
            "name": "pictures",
            "shape": [1, 6, 6, 2],
            "dtype": "int8",
            "scale": tensor.scale,
            "zero_point": tensor.zero_point,
        }
    )
    assert np.float32(float(f"{tensor.scale:.9g}")) == np.float32(tensor.scale), "nothing is lost in print"


@pytest.fixture(scope="module")
def sorting(tmp_path_factory):
    """The report of a model that sorts between two dense layers, and also puts out places."""
    inputs = keras.Input((6,))
    values, places = ops.top_k(layers.Dense(8)(inputs), 4)
    model = keras.Model(inputs, [layers.Dense(2)(values), places])
    path = tmp_path_factory.mktemp("sorting") / "a.tflite"
    with pytest.warns(SlimWarning, match="in 2 partitions"):
        return slim.export_tflite(model, path, data=np.random.default_rng(0).normal(size=(8, 6)), verbose=0)


def test_outputs_stand_in_the_order_in_which_an_app_counts_them(sorting):
    by_place = [tuple(details["shape"]) for details in Interpreter(sorting.path).get_output_details()]
    assert [tensor.shape for tensor in sorting.outputs] == by_place
    assert {tensor.name: tensor.dtype for tensor in sorting.outputs} == {"output_0": "float32", "output_1": "int32"}


def test_what_xnnpack_runs_and_what_it_leaves(sorting):
    agreement = sorting.agreement
    assert agreement.operations == {"FULLY_CONNECTED": 2, "TOPK_V2": 1}
    assert agreement.delegated == {"FULLY_CONNECTED": 2}
    assert agreement.to_dict()["delegated"] == {"FULLY_CONNECTED": 2}
    assert "2 partitions, 2 of 3 operations, all but 1 TOPK_V2" in str(sorting)


def test_a_dimension_of_any_size(tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((None, 3)), layers.ReLU()])
    path = str(tmp_path / "a.tflite")
    model.export(path, format="litert", verbose=False, input_signature=[tf.TensorSpec((1, None, 3), name="x")])
    (tensor,) = describe(TfliteFile(path).inputs)
    assert (tensor.shape, tensor.size) == ((1, None, 3), 3)

"""A file with integers computes with them from end to end, or its report names what does not, and why."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, nested, randomise, several_ends
from watching import watch

import keras_slim as slim
from keras_slim.layers import QuantConv2D, QuantDense, Quantize
from keras_slim.quantizers import Int, LearnedStep

INTEGERS = {"kernel_quantizer": "int", "input_quantizer": "int"}


def exported(model, tmp_path, **options):
    """The report of the file with integers of a model, whose ranges are learned from random samples."""
    watch(model, inputs_for(model, 16))
    return slim.export_tflite(model, tmp_path / "integers.tflite", "int8", verbose=0, **options)


@pytest.mark.parametrize("build", [nested, several_ends])
def test_no_floats_are_left_in_a_model_of_layers_with_integers(build, tmp_path):
    report = exported(slim.quantize(randomise(build()), "int", "int", skip=()), tmp_path)
    assert report.float_islands == ()
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(report.agreement.operations)
    assert "floats      none: integers from end to end" in str(report)


@pytest.mark.filterwarnings("ignore:XNNPACK runs")
def test_islands_are_named_with_their_layer_and_the_reason(tmp_path):
    """A layer of every sort that stays float, some inside a model inside, and names that end with numbers."""
    inside = keras.Sequential([keras.Input((8, 8, 4)), layers.LayerNormalization(name="norm_2")], name="inside")
    inputs = keras.Input((8, 8, 4))
    x = QuantConv2D(4, 1, name="whole", **INTEGERS)(inputs)
    x = inside(Quantize(name="between")(x))
    x = QuantConv2D(4, 1, kernel_quantizer="int", input_quantizer=Int(ranges="current"), name="of_the_moment")(x)
    x = Quantize(Int(per_channel=True), name="channels")(x)
    x = QuantConv2D(4, 1, kernel_quantizer="int", input_quantizer=LearnedStep(signed=True), name="steps_3")(x)
    x = layers.Activation("elu", name="elu_1")(x)
    x = QuantDense(3, rounding="weights", name="weights_alone", **INTEGERS)(x)
    model = keras.Model(inputs, x)
    with pytest.warns(slim.errors.SlimWarning, match=r"few bits compute with floats.*'of_the_moment'.*'steps_3'"):
        report = exported(model, tmp_path, tolerance=-99)
    reasons = {island.layer: island.why for island in report.float_islands}
    assert set(reasons) >= {"norm_2", "of_the_moment", "channels", "steps_3", "elu_1", "weights_alone"}
    assert not {"whole", "between"} & set(reasons)
    assert "real" in reasons["norm_2"]
    assert "not kept" in reasons["of_the_moment"]
    assert "for each channel" in reasons["channels"]
    assert "'learned_step'" in reasons["steps_3"]
    assert "`rounding` is 'weights'" in reasons["weights_alone"]
    assert {island.layer for island in report.float_islands if island.is_avoidable} == {
        "of_the_moment",
        "channels",
        "steps_3",
    }
    (elu,) = (island for island in report.float_islands if island.layer == "elu_1")
    assert "ELU" in elu.operations
    assert "of 'norm_2' (it is real" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["float_islands"][0]["layer"]


def test_a_file_of_floats_has_no_islands(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    report = slim.export_tflite(model, tmp_path / "floats.tflite", verbose=0)
    assert report.float_islands == ()
    assert "\nfloats " not in str(report)
    report = slim.export_tflite(model, tmp_path / "integers.tflite", "int8", np.eye(4), verbose=0)
    assert report.float_islands == ()
    assert "none: integers" in str(report)

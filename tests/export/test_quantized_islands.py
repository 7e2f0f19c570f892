"""A file with integers computes with them from end to end, or its report names what does not, and why."""

import json

import keras
import model_zoo
import model_zoo_layers
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


WITH_INTEGERS = [
    model_zoo.sequential,
    model_zoo.residual,
    model_zoo.sum_of_concatenations,
    model_zoo.one_dimensional,
    model_zoo_layers.depthwise,
    model_zoo_layers.grouped,
    model_zoo_layers.squeeze_and_excite,
    model_zoo_layers.softmaxes,
]
# The rest of the zoo has layers without integers: ELU, layers over volumes, layer normalization, recurrent layers ...


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:XNNPACK runs")
@pytest.mark.parametrize("build", WITH_INTEGERS)
def test_no_floats_are_left_in_any_model_of_the_zoo_with_integers_for_all_its_layers(build, tmp_path):
    report = exported(slim.quantize(randomise(build()), "int", "int", skip=()), tmp_path)
    assert report.float_islands == ()
    assert report.agreement.sqnr_db > 25


@pytest.mark.slow
def test_a_trained_network_answers_as_its_file_and_puts_nearly_all_into_the_same_class(tmp_path):
    (x, y), (val_x, val_y), _ = slim.datasets.load_digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.ReLU()(
        layers.BatchNormalization(momentum=0.9)(layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs))
    )
    for _ in range(2):
        other = layers.Conv2D(16, 1)(layers.DepthwiseConv2D(3, padding="same")(z))
        z = layers.ReLU()(layers.Add()([z, layers.BatchNormalization(momentum=0.9)(other)]))
    outputs = layers.Dense(10)(layers.Flatten()(layers.MaxPooling2D(2)(z)))
    twin = slim.quantize(keras.Model(inputs, outputs), Int(4), "int", skip=())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    twin.fit(x, y, epochs=4, verbose=0)
    report = slim.export_tflite(twin, tmp_path / "digits.tflite", "int8", verbose=0)
    agreement = slim.verify_tflite(twin, report.path, val_x)
    assert report.float_islands == ()
    assert twin.evaluate(val_x, val_y, verbose=0)[1] > 0.9
    assert agreement.sqnr_db > 25
    assert agreement.same_class >= 0.97


@pytest.mark.parametrize("build", [nested, pytest.param(several_ends, marks=pytest.mark.slow)])
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

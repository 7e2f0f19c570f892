"""Layers with few bits, trained, answer in a file as in Keras."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.layers import QuantConv1D, QuantConv2D, QuantDense, QuantDepthwiseConv2D, Quantize
from keras_slim.quantizers import Int, LearnedStep

MODELS = {
    # name: (layers, operations of LiteRT in their place)
    "integers": (
        lambda: [QuantConv2D(4, 3, kernel_quantizer="int", input_quantizer="int")],
        {"QUANTIZE": 1, "DEQUANTIZE": 1, "CONV_2D": 1},
    ),
    "few bits": (
        lambda: [
            QuantConv2D(4, 3, kernel_quantizer="ternary", input_quantizer=Int(4)),
            Quantize(LearnedStep(3, signed=True)),
            QuantDense(5, kernel_quantizer=Int(4, per_channel=True), use_bias=False),
        ],
        {
            **{"MINIMUM": 2, "MAXIMUM": 1, "QUANTIZE": 1, "DEQUANTIZE": 1, "CONV_2D": 1},
            **{"ROUND": 1, "FULLY_CONNECTED": 1},
        },
    ),
    "signs": (
        lambda: [
            QuantConv2D(4, 3, kernel_quantizer="binary_scaled", input_quantizer="sign"),
            QuantDepthwiseConv2D(2, kernel_quantizer="trained_ternary"),
        ],
        {"GREATER_EQUAL": 1, "SELECT_V2": 1, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1},
    ),
}


@pytest.mark.filterwarnings("ignore:XNNPACK runs")
@pytest.mark.parametrize("name", MODELS)
def test_the_file_answers_as_keras_and_has_the_rounded_weights_in_it(name, tmp_path):
    layers, operations = MODELS[name]
    model = keras.Sequential([keras.Input((6, 6, 3)), *layers(), keras.layers.GlobalMaxPooling2D()])
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype("float32")
    model.fit(x, np.zeros((16, model.output_shape[-1])), verbose=0)
    agreement = slim.export_tflite(model, tmp_path / "quantized.tflite", data=x, verbose=0).agreement
    assert agreement.sqnr_db > 100
    found = {name: count for name, count in agreement.operations.items() if name != "REDUCE_MAX"}
    assert found == operations  # what rounds the weights is not among them


def test_integers_stay_integers_from_end_to_end(tmp_path):
    """No float island: the converter reads all ranges, and finds the grid of the weights."""
    of = {"kernel_quantizer": "int", "input_quantizer": "int"}
    few = {"kernel_quantizer": Int(4), "input_quantizer": "int"}
    layers = [QuantConv1D(8, 3, activation="relu", **of), keras.layers.Reshape((6, 4, 2))]
    layers += [QuantConv2D(4, 3, **few), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    layers += [QuantDepthwiseConv2D(2, **of), Quantize(), keras.layers.Flatten(), QuantDense(3, **few), Quantize()]
    model = keras.Sequential([keras.Input((8, 3)), *layers])
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(16, 8, 3)).astype("float32")
    model.fit(x, np.zeros((16, 3)), verbose=0)
    agreement = slim.export_tflite(model, tmp_path / "integers.tflite", "int8", x, verbose=0).agreement
    assert agreement.sqnr_db > 20
    expected = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
    assert {name: count for name, count in agreement.operations.items() if name != "RESHAPE"} == expected

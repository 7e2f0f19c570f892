"""Copies of a model in which other layers stand for some of its layers.

Each takes a functional, a built Sequential or a subclassed model that can be read, leaves it as it is, and returns a
copy that is not compiled: names, shared layers, models inside the model and the weights of all that stays are kept.
"""

from keras_slim.rewriting.accuracy_control import quantize_within
from keras_slim.rewriting.adderization import adderize
from keras_slim.rewriting.calibration import calibrate
from keras_slim.rewriting.dequantization import dequantize
from keras_slim.rewriting.description import LayerDescription, ModelDescription, describe
from keras_slim.rewriting.folding import fold_batch_normalization
from keras_slim.rewriting.quantization import quantize
from keras_slim.rewriting.sensitivity import LayerSensitivity, Measured, QuantizationReport, quantization_report

__all__ = [
    "LayerDescription",
    "LayerSensitivity",
    "Measured",
    "ModelDescription",
    "QuantizationReport",
    "adderize",
    "calibrate",
    "dequantize",
    "describe",
    "fold_batch_normalization",
    "quantization_report",
    "quantize",
    "quantize_within",
]

"""Copies of a model in which other layers stand for some of its layers.

Each takes a functional, a built Sequential or a subclassed model that can be read, leaves it as it is, and returns a
copy that is not compiled: names, shared layers, models inside the model and the weights of all that stays are kept.
"""

from keras_slim.rewriting.accuracy_control import quantize_within
from keras_slim.rewriting.adderization import adderize
from keras_slim.rewriting.bias_correction import correct_biases
from keras_slim.rewriting.calibration import calibrate
from keras_slim.rewriting.dehashing import dehash
from keras_slim.rewriting.dequantization import dequantize
from keras_slim.rewriting.description import LayerDescription, ModelDescription, describe
from keras_slim.rewriting.equalization import equalize
from keras_slim.rewriting.folding import fold_batch_normalization
from keras_slim.rewriting.hashing import hash
from keras_slim.rewriting.kernel_joints import JointDescription, joints
from keras_slim.rewriting.quantization import quantize
from keras_slim.rewriting.sensitivity import LayerSensitivity, Measured, QuantizationReport, quantization_report

__all__ = [
    "JointDescription",
    "LayerDescription",
    "LayerSensitivity",
    "Measured",
    "ModelDescription",
    "QuantizationReport",
    "adderize",
    "calibrate",
    "correct_biases",
    "dehash",
    "dequantize",
    "describe",
    "equalize",
    "fold_batch_normalization",
    "hash",
    "joints",
    "quantization_report",
    "quantize",
    "quantize_within",
]

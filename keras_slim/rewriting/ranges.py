"""Where activations need a range of their own, so that a phone computes with integers from end to end.

What converters do with ranges was tried, operation by operation. Some operations hand on the range they are given; some
are computed in one with the layer before; some have outputs whose range is known; all others need one on each side.
"""

import dataclasses
from collections.abc import Container

import keras

from keras_slim.graph.nodes import is_graph
from keras_slim.graph.running import run
from keras_slim.held import is_stock
from keras_slim.layers.quantize import Quantize
from keras_slim.layers.quantized import INPUTS, Quantized

# Names, since operations of `keras.ops` have no public classes; most are layers and operations at once.
HAND_ON = """
    Cropping1D Cropping2D Cropping3D Dropout ExpandDims Flatten GaussianDropout GaussianNoise GetItem Identity Pad
    Permute RepeatVector Reshape SpatialDropout1D SpatialDropout2D SpatialDropout3D Squeeze Transpose UpSampling1D
    UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    AveragePooling1D AveragePooling2D AveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    MaxPooling1D MaxPooling2D MaxPooling3D
"""
AVERAGE = {"AveragePooling1D", "AveragePooling2D", "AveragePooling3D"}
SUMS = {"Add", "Subtract", "Multiply"}
JOINS = {"Concatenate"}
CLIPPED = {"Relu", "Relu6"}
KNOWN = {"Sigmoid", "Softmax", "Tanh"}
FUNCTIONS = {
    keras.activations.linear: "",
    keras.activations.relu: "Relu",
    keras.activations.relu6: "Relu6",
    keras.activations.sigmoid: "Sigmoid",
    keras.activations.softmax: "Softmax",
    keras.activations.tanh: "Tanh",
}

INPUT = "input"
OUTPUT = "output"


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """Which operation makes a tensor, and whether its numbers have been averaged since."""

    origin: keras.Operation | str
    is_averaged: bool = False


class Ranges:
    """Finds where ranges are missing in a model whose layers are to round their inputs.

    Args:
        model: A Functional or built Sequential model.
        rounding: Its layers that will be rounded, inputs and weights.
    """

    def __init__(self, model: keras.Model, rounding: Container[keras.Operation]):
        self._rounding = rounding
        self._readers: dict = {}
        self._calls: dict = {}
        self._given: dict = {}
        self._averaging: set = set()
        outputs = run(model, [_Tensor(INPUT)] * len(model.inputs), self._call)
        for tensor in keras.tree.flatten(outputs):
            self._readers.setdefault(tensor.origin, []).append(OUTPUT)
        self._real = {INPUT}
        for operation, origins in self._given.items():
            if not self._rounds(operation) and (_has_kernels(operation) or origins <= self._real):
                self._real.add(operation)

    def missing(self) -> dict[keras.Operation, str]:
        """Returns the operations behind which a range is missing, with the dtype of what they give."""
        return {
            operation: nodes[0].outputs[0].dtype
            for operation, nodes in self._calls.items()
            if any(self._needs(operation, reader) for reader in self._readers.get(operation, ()))
            and all(len(node.outputs) == 1 for node in nodes)
            and keras.backend.is_float_dtype(nodes[0].outputs[0].dtype)
        }

    def origins(self, operation: keras.Operation) -> set:
        """Returns the operations whose outputs one reads as they are; none if some are averaged before."""
        return set() if operation in self._averaging else self._given.get(operation, set())

    def quantizers_before(self, operation: keras.Operation) -> list:
        """Returns the quantizers of all that an operation reads, if all of it comes from layers `Quantize`."""
        origins = self.origins(operation)
        are_rounded = all(isinstance(origin, Quantize) for origin in origins)
        return [origin.quantizer for origin in origins] if are_rounded else []

    def _call(self, node, given, args, kwargs):
        operation = node.operation
        if is_graph(operation):
            return run(operation, given, self._call)
        if _hands_on(operation) and len(given) == len(node.outputs) == 1:
            return [_Tensor(given[0].origin, given[0].is_averaged or _averages(operation))]
        for tensor in given:
            self._readers.setdefault(tensor.origin, []).append(operation)
            if tensor.is_averaged:
                self._averaging.add(operation)
        self._calls.setdefault(operation, []).append(node)
        self._given.setdefault(operation, set()).update(tensor.origin for tensor in given)
        return [_Tensor(operation)] * len(node.outputs)

    def _rounds(self, operation):
        if not isinstance(operation, Quantized):
            return operation in self._rounding
        if not operation.places:
            return False
        return INPUTS in operation.places or not operation.of_inputs or bool(self.quantizers_before(operation))

    def _needs(self, origin, reader):
        is_real = origin in self._real
        if isinstance(origin, Quantize) or (activation_of(origin) in KNOWN and not is_real):
            return False
        if reader == OUTPUT or reader in self._real:
            return not is_real
        if self._rounds(reader) or _name(reader) in JOINS:
            return False
        return not self._is_one_with(reader, origin)

    def _is_one_with(self, reader, origin):
        """Tells whether an operation is computed together with the one before it."""
        if len(self._readers[origin]) > 1:
            return False
        is_sum = self._rounds(origin) and activation_of(origin) == ""
        if isinstance(reader, keras.layers.BatchNormalization):
            return is_sum
        follows = is_sum or isinstance(origin, keras.layers.BatchNormalization) or _name(origin) in SUMS
        return follows and activation_of(reader) in CLIPPED


def activation_of(operation) -> str:
    """Returns the name of the activation that an operation is or ends with; nothing if it is linear."""
    if isinstance(operation, keras.layers.ReLU):
        is_plain = not operation.negative_slope and not operation.threshold and operation.max_value in (None, 6)
        return "Relu" if is_plain else "another"
    if isinstance(operation, keras.layers.Softmax) or not isinstance(operation, keras.layers.Layer):
        return _name(operation)
    activation = getattr(operation, "activation", None)
    if isinstance(activation, keras.layers.Layer):
        return activation_of(activation) or "another"
    return "" if activation is None else FUNCTIONS.get(activation, "another")


def _name(operation):
    return type(operation).__name__


def _hands_on(operation):
    is_between = getattr(operation, "interpolation", "nearest") in ("nearest", "bilinear")
    return is_stock(type(operation)) and _name(operation) in HAND_ON.split() and is_between


def _averages(operation):
    return _name(operation) in AVERAGE or getattr(operation, "interpolation", "nearest") != "nearest"


def _has_kernels(operation):
    """Tells whether an operation has weights, other than those that converters compute with in integers."""
    own = keras.layers.BatchNormalization, keras.layers.PReLU
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, own)

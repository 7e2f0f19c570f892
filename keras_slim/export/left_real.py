"""What a model with ranges leaves real: the converter must not round it.

It rounds the weights of every convolution and dense layer that has a range before it and behind it, by their largest,
whether the model rounds them or not; just the weights that were left real for what that costs.
"""

import dataclasses

import keras

from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import is_graph
from keras_slim.graph.running import run
from keras_slim.layers.quantize import Quantize
from keras_slim.layers.quantized import INPUTS, Quantized
from keras_slim.rewriting.names import Names
from keras_slim.rewriting.ranges import HAND_ON, KNOWN, activation_of


class Apart(keras.layers.Layer):
    """Hands on what it is given, with operations that the converter has no integers for and does not fold.

    `x + 0 floor(x)` is `x` for finite numbers. Casts to float64 and back serve as well, but break the file into parts.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        """Returns the inputs."""
        return inputs + 0 * keras.ops.floor(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


def with_real_apart(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in which the converter leaves real weights as they are; itself if it does so anyway."""
    real = _real_between_ranges(model) if is_graph(model) else ()
    if not real:
        return model
    names = Names(model)

    def in_place_of(operation, changes):
        if operation not in real:
            return None
        return [Apart(name=names.unused(f"{operation.name}_apart"), dtype=operation.dtype_policy), operation]

    return copy_replacing(model, in_place_of)


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """Whether a tensor has a range, and the layers with real weights that it comes from since the last one."""

    has_range: bool
    waiting: frozenset


def _real_between_ranges(model):
    """Returns the layers with real weights that have a range before them and, sooner or later, one behind."""
    found = set()

    def call(node, given, args, kwargs):
        operation = node.operation
        if is_graph(operation):
            return run(operation, given, call)
        waiting = frozenset().union(*(each.waiting for each in given))
        if isinstance(operation, Quantized) and INPUTS in operation.places:
            found.update(waiting)
            waiting = frozenset()
        if _has_real_kernels(operation):
            is_behind = len(given) == 1 and given[0].has_range
            waiting = frozenset({operation} if is_behind else ())
        has_range = isinstance(operation, Quantize) or activation_of(operation) in KNOWN
        hands_on = type(operation).__name__ in HAND_ON.split() and given[0].has_range
        return [_Tensor(has_range or hands_on, waiting)] * len(node.outputs)

    run(model, [_Tensor(False, frozenset())] * len(model.inputs), call)
    return found


def _has_real_kernels(operation):
    rounds = isinstance(operation, Quantized) and operation.rounding != "nothing" and bool(operation.places)
    return not rounds and any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ()))

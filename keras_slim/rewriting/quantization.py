"""From real numbers to few bits: layers that round, where a model has convolutions, dense layers and tables."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_slim.graph.copying import copy_and_stacks
from keras_slim.graph.nodes import operations
from keras_slim.graph.opening import readable
from keras_slim.layers.quant_twins import QUANTIZED, quant_twin
from keras_slim.layers.quantize import Quantize
from keras_slim.own_state import give, variables_alike
from keras_slim.quantizers import Int, get
from keras_slim.rewriting.names import Names
from keras_slim.rewriting.per_layer import PerLayer
from keras_slim.rewriting.ranges import CLIPPED, Ranges, activation_of
from keras_slim.rewriting.skipping import ENDS, check_named, layers_to_replace

HALF = ("float16", "bfloat16")


def quantize(
    model: keras.Model, kernel: Any = "int", activations: Any = None, skip: Iterable[str] = ENDS
) -> keras.Model:
    """Returns a copy of a model that rounds weights, and activations, to few bits.

    The copy is to be trained on: it learns to live with few bits. `Conv1D`, `Conv2D`, `Conv3D`, `DepthwiseConv2D`,
    `SeparableConv2D`, `Conv2DTranspose`, `Dense` and `Embedding` become their twins in `keras_slim.layers`, with the
    same weights, config and name, in models inside the model too. All else stays as it is, with its weights, as do
    layers inside a wrapper such as `TimeDistributed`. `keras_slim.rewriting.describe` tells of each layer.

    For a phone: `quantize(model, "int", "int", skip=())`. Where `activations` are `"int"`, all that a phone computes
    has a range: a layer `Quantize` is put behind sums, joins, averages, activations and outputs, unless layers with few
    bits alone read them. What it has rounded is not rounded again by a layer with few bits that reads it, too.
    Activations inside a layer, other than a clip at 0, become layers of their own, with a `Quantize` before them. What
    follows from real numbers alone, from inputs of the model or layers that stay, is left real until a layer rounds it.
    Frozen layers stay frozen, and learn no ranges.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.
        kernel: Quantizer of the weights: a name, such as `"int"`, `"ternary"` or `"binary"`, a class or an instance of
            `keras_slim.quantizers`, or `None`. Or a dictionary to these, whose keys are types of layers, the nearest
            counts, and `keras.layers.Layer` is for all others; names of layers; paths, as `"encoder/dense"`; names of
            models inside the model. The more specific wins: path, name, model around, type. What no key tells of has
            `None`.
        activations: Quantizer of what goes into each of these layers, in the same ways: `"int"`, `"learned_step"` or
            `"sign"`. Of a `Quantize`, what it stands behind decides. Optional.
        skip: What stays real: `"first"`, the layers with no other such layer before them; `"last"`, those with none
            after them, such as the layers of the outputs; names of layers; names of models inside the model, with all
            their layers. A layer that `kernel` gives a quantizer by its own name is not skipped for its place.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        TypeError: If the model is no Keras model, or an argument is none of these.
        ValueError: If there is no such quantizer; if `skip` or a key names what is not there, a key of `kernel` a layer
            without a twin, or `skip` leaves nothing to round; if the model is not built.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.

    Warns:
        SlimWarning: If layers stay as they are because they derive from a type with a twin, are quantized by Keras or
            have a low-rank adaptation. The message names them.

    Example:

    >>> import keras, keras_slim as slim
    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((8,)), dense(8), dense(8), dense(8), dense(2, name="head")])
    >>> twin = slim.quantize(model, kernel={keras.layers.Dense: "ternary", "head": slim.quantizers.Int(4)})
    >>> [type(layer).__name__ for layer in twin.layers]
    ['Dense', 'QuantDense', 'QuantDense', 'QuantDense']
    """
    return quantized(readable(model, "quantize"), kernel, activations, skip)[0]


def quantized(
    model: keras.Model,
    kernel: Any,
    activations: Any,
    skip: Iterable[str],
    owner: str = "quantize",
    argument: str = "kernel",
) -> tuple[keras.Model, dict[keras.layers.Layer, list[keras.layers.Layer]]]:
    """Returns what `quantize` does, and the layers that stand in the place of each layer or model inside.

    Args:
        model: A Functional or built Sequential model.
        kernel: As for `quantize`.
        activations: As for `quantize`.
        skip: As for `quantize`.
        owner: Name of the function or class that was given them, for error messages.
        argument: Name of the argument `kernel` came through.
    """
    of_weights = PerLayer(model, kernel, _reader(argument, owner), argument, owner)
    of_inputs = PerLayer(model, activations, _reader("activations", owner), "activations", owner)
    named = {each for each in operations(model) if of_weights.is_named(each)}
    check_named(named, QUANTIZED, kernel, argument, owner)
    replaced = layers_to_replace(model, QUANTIZED, skip, owner, named, stacklevel=4)
    return _Quantizing(model, replaced, of_weights, of_inputs).copy()


def _reader(name, owner):
    return lambda option: get(option, name, owner)


class _Quantizing:
    """Copies a model, and puts layers with few bits in place of some, and ranges where they are missing."""

    def __init__(self, model, replaced, of_weights, of_inputs):
        self._model = model
        self._twins = {layer: self._quantizers(layer, of_weights, of_inputs) for layer in replaced}
        self._of_activations = of_inputs
        self._rounding = {
            layer
            for layer, (weights, inputs) in self._twins.items()
            if weights and (inputs or not QUANTIZED[type(layer)].of_inputs)
        }
        ranges = Ranges(model, self._rounding)
        self._missing = ranges.missing()
        for layer in self._rounding:
            weights, inputs = self._twins[layer]
            if inputs and self._is_rounded_before(ranges.origins(layer), inputs):
                self._twins[layer] = weights, None
        self._names = Names(model)
        self._made = {}

    @staticmethod
    def _quantizers(layer, of_weights, of_inputs):
        inputs = of_inputs.of(layer) if QUANTIZED[type(layer)].of_inputs else None
        return of_weights.of(layer), inputs

    def _is_rounded_before(self, origins, quantizer):
        """Tells whether all that a layer reads has been rounded so where it was made: a second time is no use."""
        return bool(origins) and all(_alike(self._rounded_by(origin), quantizer) for origin in origins)

    def _rounded_by(self, origin):
        """Returns the quantizer of what an operation gives, or `None`."""
        if isinstance(origin, Quantize):
            return origin.quantizer
        quantizer = self._of_activations.of(origin) if origin in self._missing else None
        return quantizer if isinstance(quantizer, Int) else None

    def copy(self):
        """Returns the copy of the model, with its weights, and the layers in the place of each."""
        copy, stacks = copy_and_stacks(self._model, self._in_place_of)
        for layer, twin in self._made.items():
            for old, new in variables_alike(layer, twin):
                give(new, old)
        return copy, stacks

    def _in_place_of(self, operation, changes):
        """Returns a layer with few bits, or the layer itself, and what comes behind it; `None` for what stays."""
        stack = [operation]
        quantizers = self._twins.get(operation, (None, None))
        if any(quantizers):
            stack = self._twin(operation, quantizers, changes)
        if operation in self._missing:
            stack += self._range_behind(operation, self._missing[operation])
        return None if stack == [operation] else stack

    def _twin(self, layer, quantizers, changes):
        """Returns the layer with few bits, and its activation by itself if that needs a range before it."""
        is_apart = layer in self._rounding and activation_of(layer) not in ("", *CLIPPED)
        between = self._range_behind(layer, layer.compute_dtype) if is_apart else []
        if not between:
            self._made[layer] = quant_twin(layer, *quantizers, **changes)
            return [self._made[layer]]
        self._made[layer] = quant_twin(layer, *quantizers, activation=None)
        activation = changes.get("activation", layer.activation)
        if not isinstance(activation, keras.layers.Layer):
            name = self._names.unused(f"{layer.name}_activation")
            activation = keras.layers.Activation(activation, name=name, dtype=layer.dtype_policy)
        return [self._made[layer], *between, activation]

    def _range_behind(self, operation, dtype):
        """Returns a list of the layer that gives the outputs of an operation a range, if they are to be integers."""
        quantizer = self._of_activations.of(operation)
        if not isinstance(quantizer, Int):
            return []
        policy = getattr(operation, "dtype_policy", f"mixed_{dtype}" if dtype in HALF else dtype)
        axis = 1 if getattr(operation, "data_format", None) == "channels_first" else -1
        return [Quantize(quantizer, axis, name=self._names.unused(f"{operation.name}_quantize"), dtype=policy)]


def _alike(one, other):
    return type(one) is type(other) and one.get_config() == other.get_config()

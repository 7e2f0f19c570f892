"""Back from layers that round to Keras's own, with the rounded weights in them."""

import warnings

import keras

from keras_slim.errors import SlimWarning
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import is_graph, operations
from keras_slim.graph.opening import readable
from keras_slim.held import layers_within
from keras_slim.layers.quant_twins import PLAIN, plain_twin
from keras_slim.layers.quantize import Quantize
from keras_slim.layers.quantized import INPUTS, Quantized
from keras_slim.own_state import give, variables_alike

FEW = 3
"""Values of inputs that are nothing like real numbers: a model that has seen only these is lost without them."""


def dequantize(model: keras.Model) -> keras.Model:
    """Returns a copy of a model with Keras's layers, and the rounded weights in them.

    What was trained with few bits becomes a model that loads without keras_slim. Layers with few bits become those of
    Keras with the same name, and hold the values that they computed with: two for `"binary"`, three for `"ternary"`.
    `save_compressed` stores them as the few that they are. Quantizers of inputs and `Quantize` layers are left out, so
    that the copy answers as the model does if only weights are rounded, and a little otherwise if inputs are too. A
    constraint that came with a quantizer is left out with it.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional. If nothing is rounded in it, it is no
        different.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.
        ValueError: If the model is not built.

    Warns:
        SlimWarning: If layers stay as they are because they derive from one with few bits or hold one, or if inputs
            were rounded to at most three values, as by `"sign"`, without which the copy answers something else. The
            message names them.

    Example:

    >>> import keras, keras_slim as slim
    >>> dense = slim.layers.QuantDense(2, kernel_quantizer="sign", kernel_initializer=keras.initializers.Constant(0.3))
    >>> plain = slim.dequantize(keras.Sequential([keras.Input((2,)), dense]))
    >>> type(plain.layers[0]).__name__, plain.layers[0].kernel.numpy().tolist()
    ('Dense', [[1.0, 1.0], [1.0, 1.0]])
    """
    model = readable(model, "dequantize")
    _tell(model)
    made = {}

    def in_place_of(operation, changes):
        if type(operation) in PLAIN:
            made[operation] = plain_twin(operation, **changes)
            return [made[operation]]
        return [] if type(operation) is Quantize else None

    copy = copy_replacing(model, in_place_of)
    for layer, plain in made.items():
        for old, new in variables_alike(layer, plain):
            give(new, layer.rounded(old.name, old))
    return copy


def _tell(model):
    """Warns of what stays rounded, and of inputs without whose rounding the answers are others."""
    left, few = [], []
    for operation in operations(model):
        if _rounds_to_few(operation):
            few.append(f"'{operation.name}'")
        if type(operation) not in (*PLAIN, Quantize) and _holds_rounding(operation):
            left.append(f"'{operation.name}'")
    if left:
        text = "`dequantize` leaves these layers as they are, which derive from layers with few bits, or hold some"
        warnings.warn(f"{text}: {', '.join(left)}.", SlimWarning, stacklevel=3)
    if few:
        text = f"The copy answers otherwise, since inputs of these layers were rounded to {FEW} values at most"
        warnings.warn(f"{text}: {', '.join(few)}.", SlimWarning, stacklevel=3)


def _holds_rounding(operation):
    is_one = isinstance(operation, keras.layers.Layer) and not is_graph(operation)
    return is_one and any(isinstance(each, Quantized) for each in layers_within(operation))


def _rounds_to_few(operation):
    places = operation.places if isinstance(operation, Quantized) else {}
    return INPUTS in places and places[INPUTS].num_values <= FEW

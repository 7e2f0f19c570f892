"""In words, how a model computes: which layers round, to how many bits, and why others do not."""

import dataclasses

import keras

from keras_slim.graph.nodes import is_graph
from keras_slim.graph.opening import readable
from keras_slim.layers.quant_twins import QUANTIZED
from keras_slim.layers.quantized import INPUTS, Quantized
from keras_slim.rewriting.per_layer import paths
from keras_slim.rewriting.ranges import Ranges
from keras_slim.rewriting.skipping import left_because


@dataclasses.dataclass(frozen=True)
class LayerDescription:
    """How one layer computes.

    Args:
        path: Its name, after those of the models around it: `"encoder/dense"`.
        kind: Name of its type.
        weights: Quantizer of its weights with its options, `"int(bits=4)"`; `None` if they are real or there are none.
        inputs: Quantizer of its inputs, its own or that of the `Quantize` they come from; `None` if they are real.
        bits: Bits of one of its rounded weights, or of its rounded inputs if its weights are real; `None` if both are.
        why: Why it rounds nothing, a phrase; empty if it does.
    """

    path: str
    kind: str
    weights: str | None
    inputs: str | None
    bits: int | None
    why: str


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """How the layers of a model compute; as text, a table.

    Args:
        name: Name of the model.
        layers: One `LayerDescription` for each layer that has weights or rounds, in the order of the model.
    """

    name: str
    layers: tuple[LayerDescription, ...]

    def __str__(self):
        rows = [("layer", "type", "weights", "inputs", "bits", "")]
        for layer in self.layers:
            cells = layer.weights or "real", layer.inputs or "real", layer.bits or "-"
            rows.append((layer.path, layer.kind, *map(str, cells), layer.why))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"Model '{self.name}'", *lines])


def describe(model: keras.Model) -> ModelDescription:
    """Tells which layers of a model round, to how many bits, and why others do not.

    Print it for a table; `describe(model).layers` is the same as data.

    Args:
        model: A Functional, built Sequential or subclassed model, rewritten by `quantize` or written by hand.

    Returns:
        A `ModelDescription`: each layer with weights, or that rounds, of the model and of models inside it.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If the model decides in its own code which layers it calls.
        ValueError: If the model is not built.

    Example:

    >>> import keras, keras_slim as slim
    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((8,)), *(dense(8, name=name) for name in "abc")], name="m")
    >>> print(describe(slim.quantize(model, slim.quantizers.Int(4), "int", skip=("last",))))
    Model 'm'
    layer       type        weights      inputs  bits
    a           QuantDense  int(bits=4)  int     4
    b           QuantDense  int(bits=4)  int     4
    b_quantize  Quantize    real         int     8
    c           Dense       real         real    -     left out by name, place or type
    """
    model = readable(model, "describe")
    found = {each: path for each, path in paths(model).items() if not is_graph(each)}
    found = {each: path for each, path in found.items() if getattr(each, "weights", ()) or _rounds(each)}
    ranges = Ranges(model, ())
    rows = (_described(each, path, ranges.quantizers_before(each)) for each, path in found.items())
    return ModelDescription(model.name, tuple(rows))


def _rounds(layer):
    return isinstance(layer, Quantized)


def _described(layer, path, quantizers_before):
    places = layer.places if _rounds(layer) else {}
    of_weights = [place for place in places.values() if place.is_weight]
    weights = repr(of_weights[0].quantizer) if of_weights else None
    of_inputs = [places[INPUTS].quantizer] if INPUTS in places else quantizers_before if of_weights else []
    inputs = ", ".join(dict.fromkeys(map(repr, of_inputs))) or None
    bits = max((place.bits for place in of_weights or places.values()), default=None)
    kind = type(layer).__name__
    return LayerDescription(path, kind, weights, inputs, bits, "" if weights or inputs else _why(layer))


def _why(layer):
    """Returns why a layer rounds nothing."""
    if not isinstance(layer, tuple(QUANTIZED)):
        return f"there is no `{type(layer).__name__}` with few bits"
    return left_because(layer, QUANTIZED) or "left out by name, place or type"

"""What computes with floats in a file with integers, which layers it comes from, and why they have no integers."""

import dataclasses
import re

import keras

from keras_slim.held import layers_within
from keras_slim.layers.quant_conv3d import QuantConv3D
from keras_slim.layers.quantized import INPUTS, Quantized
from keras_slim.quantizers import Int


@dataclasses.dataclass(frozen=True)
class FloatIsland:
    """A layer that computes with floats in a file with integers.

    Args:
        layer: Its name; empty for all operations of which the file does not tell where they come from.
        operations: Names of its operations, such as `"CONV_2D"`.
        why: Why it does not compute with integers, a phrase; empty if it is not known.
        is_avoidable: Whether it would, with other quantizers.
    """

    layer: str
    operations: tuple[str, ...]
    why: str
    is_avoidable: bool

    def __str__(self):
        of = f" of '{self.layer}'" if self.layer else ""
        return f"{', '.join(dict.fromkeys(self.operations))}{of}{f' ({self.why})' if self.why else ''}"


def find_islands(models, file) -> tuple[FloatIsland, ...]:
    """Returns what computes with floats in a file, layer by layer.

    Args:
        models: The Keras models that are in it.
        file: The `TfliteFile`.
    """
    within = (layer for model in models for layer in layers_within(model))
    layers = {layer.name: layer for layer in within if not isinstance(layer, keras.Model)}
    operations: dict[str, list[str]] = {}
    for operation, tensors in file.float_operations:
        layer = next((name for tensor in tensors for name in _names_in(tensor) if name in layers), "")
        operations.setdefault(layer, []).append(operation)
    return tuple(FloatIsland(name, tuple(of), *_why(layers.get(name))) for name, of in operations.items())


def _names_in(tensor):
    """Yields the names of layers that the name of a tensor may hold, the most likely first.

    A tensor is called `model_1/block_1/conv2d_3_1/convolution`: behind each name, but that of the operation, the number
    of the call. One that was fused has several such names, of the last operation first.
    """
    for path in reversed(tensor.split(";")):
        for part in reversed(path.split("/")[:-1]):
            yield re.sub(r"_\d+$", "", part)
            yield part


def _why(layer):
    """Returns why a layer computes with floats, and whether other quantizers would change that."""
    if layer is None:
        return "", False
    if isinstance(layer, QuantConv3D):
        return "phones have no convolution of volumes with integers", False
    if not isinstance(layer, Quantized):
        return "it is real, or has no range before and behind it", False
    if layer.rounding != "all":
        return f"its `rounding` is {layer.rounding!r}", False
    place = layer.places.get(INPUTS)
    if place is None:
        return "its inputs are not rounded, or there is no range behind it", False
    quantizer = place.quantizer
    if not isinstance(quantizer, Int):
        return f"converters read no range from '{quantizer.alias or type(quantizer).__name__}' of its inputs", True
    if quantizer.per_channel:
        return "its inputs have a range for each channel", True
    if not quantizer.has_range(place):
        return "the range of its inputs is not kept, `ranges='current'`", True
    return "there is no range behind it", False

"""How many bits a number of a weight takes."""

import re
from collections.abc import Iterable, Mapping

import keras

from keras_slim.layers.quantized import Quantized


def rounded_to(layers: Iterable[Quantized]) -> dict[int, int]:
    """Returns, by the id of each weight that layers round, the bits of one number of it."""
    places = [(layer, place) for layer in layers for place in layer.places.values() if place.is_weight]
    return {id(getattr(layer, place.name)): place.bits for layer, place in places}


def bits_of_one(weight: keras.Variable, rounded: Mapping[int, int]) -> int:
    """Returns the bits of one number of a weight: as it is rounded, else those in the name of its type, "bool" apart.

    Args:
        weight: The weight.
        rounded: What `rounded_to` returned.
    """
    bits = re.search(r"\d+", weight.dtype)
    return rounded.get(id(weight), int(bits.group()) if bits else 8)

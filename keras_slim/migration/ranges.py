"""The quantizers of keras_slim for those of TFMOT, with the ranges that these have learned.

Both round by the same formula, so that a model whose quantizers are kept answers as it did, but for the few numbers
that fall on the other side of the middle between two steps.
"""

from typing import Any

import keras
import numpy as np

from keras_slim.layers import Quantize
from keras_slim.layers.quant_twins import QUANTIZED, quant_twin
from keras_slim.migration.layers import NoCounterpartError, weight_name
from keras_slim.quantizers import Int

BEFORE, BEHIND, OUTPUT = "pre", "post", "output"
OF_ACTIVATIONS = (BEFORE, BEHIND, OUTPUT)
MOMENTUM = 0.999
"""Of TFMOT's moving averages."""
LONG_AGO = 100_000
"""As if so many batches had been seen: each one more counts with `1 - MOMENTUM`."""


class Rounded:
    """A layer with what rounds it, in the place of one in TFMOT's wrapper.

    Args:
        layer: The plain layer, not built.
        places: What is rounded, as `old_process.py` tells it.
        arrays: The arrays whose numbers are in it.

    Raises:
        NoCounterpartError: If keras_slim has no such layer or quantizer.
    """

    def __init__(self, layer: keras.layers.Layer, places: list[dict], arrays):
        self._arrays = arrays
        of_weights = [place for place in places if place["what"] not in OF_ACTIVATIONS]
        behind = {place["what"]: place for place in places if place["what"] in OF_ACTIVATIONS}
        is_apart = BEFORE in behind
        changes = {"activation": "linear"} if is_apart else {}
        self._of_weights, self._of_activations = [], []
        self._layer = layer
        if of_weights:
            self._layer = self._twin(layer, of_weights, changes)
        elif is_apart:
            raise NoCounterpartError("TFMOT rounds before its activation, but none of its weights")
        self.stack = [self._layer]
        self._add_range(behind.get(BEFORE), layer.name)
        if is_apart:
            name = f"{layer.name}_activation"
            self.stack.append(keras.layers.Activation(layer.activation, name=name, dtype=layer.dtype_policy))
        self._add_range(behind.get(BEHIND), layer.name)
        self._add_range(behind.get(OUTPUT), layer.name)

    def learn(self) -> None:
        """Gives the quantizers the ranges of TFMOT's; the layers are built."""
        for name, place in self._of_weights:
            high = self._arrays[place["high"]]
            self._assign(self._layer.places[name], {"high": high}, batches=1)
        for layer, place in self._of_activations:
            ends = {end: self._arrays[place[end]] for end in ("low", "high")}
            self._assign(layer.places["inputs"], ends, batches=LONG_AGO)

    def _twin(self, layer, places, changes):
        if type(layer) not in QUANTIZED:
            raise NoCounterpartError(f"keras_slim has no layer with few bits for `{type(layer).__name__}`")
        (place, *others) = places
        name = weight_name(layer, place["what"])
        if others or name not in QUANTIZED[type(layer)].weight_axes:
            raise NoCounterpartError("TFMOT rounds other weights of it than its kernel")
        if not (place["symmetric"] and place["narrow_range"] and "high" in place):
            raise NoCounterpartError("its weights are not rounded in a symmetric range")
        self._of_weights.append((name, place))
        # The range is that of the last batch of training.
        per_channel = self._arrays[place["high"]].size > 1
        quantizer = Int(place["bits"], symmetric=True, per_channel=per_channel, ranges="average", momentum=0.0)
        return quant_twin(layer, quantizer, None, **changes)

    def _add_range(self, place: dict | None, name: str) -> None:
        if place is None:
            return
        if place["symmetric"] or place["narrow_range"] or "high" not in place:
            raise NoCounterpartError(
                f"its activations are rounded by {place['kind']} in a range that keras_slim has not"
            )
        taken = sum(isinstance(each, Quantize) for each in self.stack)
        quantizer = Int(place["bits"], symmetric=False, per_channel=False, ranges="average", momentum=MOMENTUM)
        name = f"{name}_quantize" + (f"_{taken}" if taken else "")
        layer = Quantize(quantizer, name=name, dtype=self._layer.dtype_policy)
        self.stack.append(layer)
        self._of_activations.append((layer, place))

    @staticmethod
    def _assign(place: Any, ends: dict, batches: int) -> None:
        for side, value in ends.items():
            variable = place.variables[side]
            variable.assign(np.broadcast_to(value.reshape(()) if value.size == 1 else value, variable.shape))
        place.variables["batches"].assign(batches)


def range_behind(name: str, places: list[dict], arrays) -> Rounded:
    """Returns what stands in the place of a layer that only rounds, TFMOT's `QuantizeLayer`."""
    rounded = Rounded(keras.layers.Identity(name=name), places, arrays)
    rounded.stack = rounded.stack[1:]
    return rounded

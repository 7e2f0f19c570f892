"""Integers of 2 to 8 bits, as a phone computes with them."""

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.bits import check_bits
from keras_slim.quantizers.straight_through import summed_as, with_gradient
from keras_slim.validation import check_choice, check_share

RANGES = ("current", "average", "trained")


@quantizers.register("int")
@keras.saving.register_keras_serializable("keras_slim")
class Int(Quantizer):
    """Rounds to integers of 2 to 8 bits times a scale, as a phone's integers are.

    `q = s (clip(round(x / s) + z, 0, n) - z)` for a range `[low, high]` that holds 0, with `s = (high - low) / n` and
    the integer `z = round(-low / s)`, so that 0 stays 0. Symmetric: `low = -high`, `n = 2^bits - 2`; else
    `n = 2^bits - 1`. Of any shape. Gradients, with the range that the integers really have: `dx = g` inside, 0 outside;
    `dlow = sum of g below`, `dhigh = sum of g above`. A range that has collapsed to 0 gives zeros.

    What an argument leaves open is what phones compute with: weights symmetric, per channel, in the range of their
    largest at each step; activations not symmetric, per tensor, in a moving average of the range.

    Fewer than 8 bits lie on a part of a grid of 8 bits: `s` is `255 // n` of its steps (254 if symmetric). So a file
    with 8-bit integers holds the very same numbers. Activations pass the operation from which the converter of
    TensorFlow reads ranges, with the range of that grid; weights on the grid need none.

    Args:
        bits: 2 to 8.
        symmetric: Whether `low = -high`. Optional.
        per_channel: Whether each channel has a range of its own. Optional.
        ranges: `"current"`: of what comes. `"average"`: a moving average over batches of training, of the first ones a
            plain mean; before any training, of what comes. `"trained"`: begins with that of the first batch of
            training, and what is trained (the weights `*_change` of the layer) is how far it moves from there. A layer
            with `trainable=False` learns no range. Optional.
        momentum: Share of the moving average that one batch leaves, at most, in [0, 1).

    Raises:
        TypeError, ValueError: If an argument is none of these.

    Example:

    >>> import keras_slim as slim
    >>> layer = slim.layers.Quantize(Int(bits=2))
    >>> layer(keras.ops.array([[0.0, 0.9, 1.6, 3.0]])).numpy().tolist()
    [[0.0, 1.0, 2.0, 3.0]]

    Reference:
        Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
        inference", arXiv 1712.05877, equation 12; Krishnamoorthi 2018, arXiv 1806.08342, for channels.
    """

    def __init__(self, bits=8, symmetric=None, per_channel=None, ranges=None, momentum=0.99):
        self.bits = check_bits(bits, "bits", "Int")
        self.symmetric = check_choice(symmetric, "symmetric", "Int", (None, True, False))
        self.per_channel = check_choice(per_channel, "per_channel", "Int", (None, True, False))
        self.ranges = check_choice(ranges, "ranges", "Int", (None, *RANGES))
        self.momentum = check_share(momentum, "momentum", "Int", zero=True)

    def num_values(self, place):
        return 2**self.bits - _told(self.symmetric, place.is_weight)

    def variables(self, place):
        shape = place.per_channel if _told(self.per_channel, place.is_weight) else ()
        sides = ("high",) if _told(self.symmetric, place.is_weight) else ("low", "high")
        kept = {side: {"shape": shape, "trainable": False} for side in sides}
        if self._ranges(place) == "average":
            return {**kept, "batches": {"shape": (), "trainable": False}}
        if self._ranges(place) == "trained":
            return {**kept, **{f"{side}_change": {"shape": shape} for side in sides}}
        return {}

    def quantize(self, x, place, training=False):
        symmetric = _told(self.symmetric, place.is_weight)
        n = 2**self.bits - (2 if symmetric else 1)
        read_by_converter = not place.is_weight and not self.per_channel
        steps = (254 if symmetric else 255) // n

        def values(x, low, high):
            scale, safe, zero = _grid(low, high, n)
            if not (read_by_converter and n >= 254):
                x = (ops.clip(ops.round(x / safe) + zero, 0, n) - zero) * scale
            if read_by_converter:
                lowest = -zero * safe
                highest = lowest + safe / steps * (254 if symmetric else 255)
                rounded = keras.quantizers.fake_quant_with_min_max_vars(x, lowest, highest, 8, symmetric)
                x = ops.where(scale > 0, rounded, ops.zeros_like(x))
            return x

        def gradients(g, x, low, high):
            scale, _, zero = _grid(low, high, n)
            none = ops.zeros_like(g)
            below, above = x < -zero * scale, x > (n - zero) * scale
            return (
                ops.where(below | above, none, g),
                summed_as(ops.where(below, g, none), low),
                summed_as(ops.where(above, g, none), high),
            )

        return with_gradient(values, gradients, x, *self._range(x, place, training, symmetric))

    def _range(self, x, place, training, symmetric):
        """Returns the lowest and the highest number, 0 among them, in a shape that meets the tensor."""
        per_channel, ranges = _told(self.per_channel, place.is_weight), self._ranges(place)
        if symmetric:
            now = {"high": place.reduced(ops.max, ops.abs(x), per_channel)}
        else:
            now = {
                "low": ops.minimum(place.reduced(ops.min, x, per_channel), 0),
                "high": ops.maximum(place.reduced(ops.max, x, per_channel), 0),
            }
        now = {side: ops.stop_gradient(value) for side, value in now.items()}
        if ranges == "average":
            now = self._averaged(now, place, training)
        elif ranges == "trained":
            now = {
                side: place.begun(side, value, training) + place.read(f"{side}_change") for side, value in now.items()
            }
            now["high"] = ops.maximum(now["high"], 0)
            now.update({"low": ops.minimum(now["low"], 0)} if "low" in now else {})
        return (-now["high"] if symmetric else now["low"]), now["high"]

    def _averaged(self, now, place, training):
        batches = place.read("batches")
        if not training:
            return {side: ops.where(batches > 0, place.read(side), value) for side, value in now.items()}
        share = ops.maximum(1 / (batches + 1), 1 - self.momentum)
        for side, value in now.items():
            old = place.read(side)
            now[side] = ops.stop_gradient(old + share * (value - old))
            place.write(side, now[side])
        place.write("batches", batches + 1)
        return now

    def _ranges(self, place):
        return self.ranges or ("current" if place.is_weight else "average")

    def get_config(self):
        return {
            "bits": self.bits,
            "symmetric": self.symmetric,
            "per_channel": self.per_channel,
            "ranges": self.ranges,
            "momentum": self.momentum,
        }


def _told(choice, default):
    return default if choice is None else choice


def _grid(low, high, n):
    """Returns the scale, one to divide by (1 where it is 0), and the integer that stands for 0."""
    scale = (high - low) / n
    safe = ops.where(scale > 0, scale, ops.ones_like(scale))
    return scale, safe, ops.clip(ops.round(-low / safe), 0, n)

"""Integers of 2 to 8 bits, as a phone computes with them."""

import math

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.bits import check_bits
from keras_slim.quantizers.straight_through import summed_as, with_gradient
from keras_slim.validation import check_choice, check_share

RANGES = ("current", "average", "trained")
SLACK = 1e-4  # of a step: the largest number of a range is in it, whatever its last digit
MATRIX = 2  # number of axes
PACKED = (4, 2)  # bits of which the converter puts two numbers in a byte
BEFORE = 6.0  # the end of the range of activations before any training
NOTHING = 1e-30  # the end of a range that has collapsed, where an operation wants one


@quantizers.register("int")
@keras.saving.register_keras_serializable("keras_slim")
class Int(Quantizer):
    """Rounds to integers of 2 to 8 bits times a scale, as a phone's integers are.

    `q = s (clip(round(x / s) + z, 0, n) - z)` for a range `[low, high]` that holds 0, with `s = (high - low) / n` and
    the integer `z = round(-low / s)`, so that 0 stays 0. Symmetric: `low = -high`, `n = 2^bits - 2`; else
    `n = 2^bits - 1`. Of any shape. Gradients, with the range that the integers really have: `dx = g` inside, 0 outside;
    `dlow = sum of g below`, `dhigh = sum of g above`. A range that has collapsed to 0 gives zeros, or 1e-30.

    What an argument leaves open is what phones compute with: weights symmetric, per channel, in the range of their
    largest at each step; activations not symmetric, per tensor, in a moving average of the range. Weights of fewer than
    8 bits in a matrix or a transposed convolution are per tensor, since converters read no channels there.

    A file with integers of 8 bits holds numbers of fewer bits as they are. Symmetric weights lie on a part of a grid of
    8 bits: with `k = 2^(bits - 1) - 1`, every `127 // k`-th of its steps. Activations have the step of the grid, and
    only its first `n + 1` integers. The converter of TensorFlow reads both from the operation
    `keras.quantizers.fake_quant_with_min_max_vars`, which they pass with the range of that grid. Weights of 8 bits with
    a range for each channel, that of their largest, need none. What it cannot read: ranges of activations that are not
    kept or have channels; ranges of weights that are not symmetric, or have channels in a matrix or a transposed
    convolution.

    Args:
        bits: 2 to 8.
        symmetric: Whether `low = -high`. Optional.
        per_channel: Whether each channel has a range of its own. Optional.
        ranges: `"current"`: of what comes. `"average"`: a moving average over batches of training, of the first ones a
            plain mean. `"trained"`: begins with that of the first batch of training, and what is trained (the weights
            `*_change` of the layer) is how far it moves from there. Before any training, weights have the range of
            what comes, and activations that from -6 to 6. A layer with `trainable=False` learns no range. Optional.
        momentum: Share of the moving average that one batch leaves, at most, in [0, 1).
        packed: Whether a file with integers stores two weights in a byte, for `bits` 4 or 2 and symmetric weights: half
            the bytes, and slower on processors without such operations. Otherwise they take a byte each.

    Raises:
        TypeError, ValueError: If an argument is none of these.

    Example:

    >>> import keras_slim as slim
    >>> layer = slim.layers.Quantize(Int(bits=2, ranges="current"))
    >>> layer(keras.ops.array([[0.0, 0.9, 1.6, 3.0]])).numpy().tolist()
    [[0.0, 1.0, 2.0, 3.0]]

    Reference:
        Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
        inference", arXiv 1712.05877, equation 12; Krishnamoorthi 2018, arXiv 1806.08342, for channels.
    """

    def __init__(self, bits=8, symmetric=None, per_channel=None, ranges=None, momentum=0.99, packed=False):
        self.bits = check_bits(bits, "bits", "Int")
        self.symmetric = check_choice(symmetric, "symmetric", "Int", (None, True, False))
        self.per_channel = check_choice(per_channel, "per_channel", "Int", (None, True, False))
        self.ranges = check_choice(ranges, "ranges", "Int", (None, *RANGES))
        self.momentum = check_share(momentum, "momentum", "Int", zero=True)
        self.packed = check_choice(packed, "packed", "Int", (True, False) if bits in PACKED else (False,))

    def num_values(self, place):
        return 2**self.bits - _told(self.symmetric, place.is_weight)

    def variables(self, place):
        ranges = self._ranges(place)
        if ranges == "current":
            return {}
        shape = place.per_channel if self._has_channels(place) else ()
        ends = {"low": -BEFORE, "high": BEFORE}
        if _told(self.symmetric, place.is_weight):
            del ends["low"]
        kept = {
            side: {"shape": shape, "initializer": keras.initializers.Constant(end), "trainable": False}
            for side, end in ends.items()
        }
        kept["batches"] = {"shape": (), "trainable": False}
        return {**kept, **({f"{side}_change": {"shape": shape} for side in ends} if ranges == "trained" else {})}

    def __call__(self, x, place, training=False):
        symmetric = _told(self.symmetric, place.is_weight)
        n = self.num_values(place) - 1
        has_range, is_told = self.has_range(place), symmetric and self._is_told(place)
        bits, step = (self.bits, 1) if self.packed else (8, 254 // n)
        low, high = self._range(x, place, training, symmetric)
        if has_range and n == 255 and self._ranges(place) == "average":
            # The same in one operation, which has its own gradient: a step of training takes less time.
            scale, safe, zero = _grid(low, high, n)
            lowest = -zero * safe
            highest = ops.where(scale > 0, lowest + n * safe, NOTHING)
            return keras.quantizers.fake_quant_with_min_max_vars(x, *map(ops.stop_gradient, (lowest, highest)))

        def values(x, low, high):
            scale, safe, zero = _grid(low, high, n)
            if has_range:
                lowest = -zero * safe
                x = keras.quantizers.fake_quant_with_min_max_vars(x, lowest, lowest + 255 * safe)
                x = ops.minimum(x, lowest + n * safe) if n < 255 else x  # behind it, where files have integers
                return ops.where(scale > 0, x, ops.zeros_like(x))
            x = (ops.clip(ops.round(x / safe) + zero, 0, n) - zero) * scale
            return _told_to_converters(x, safe / step, bits, place) if is_told else x

        def gradients(g, x, low, high):
            scale, _, zero = _grid(low, high, n)
            none = ops.zeros_like(g)
            slack = SLACK * scale
            below, above = x < -zero * scale - slack, x > (n - zero) * scale + slack
            return (
                ops.where(below | above, none, g),
                summed_as(ops.where(below, g, none), low),
                summed_as(ops.where(above, g, none), high),
            )

        return with_gradient(values, gradients, x, low, high)

    def has_range(self, place):
        """Tells whether activations have one range, which is kept: converters can read it."""
        return not place.is_weight and not self.per_channel and self._ranges(place) != "current"

    def ends(self, place):
        """Returns the lowest and the highest number of a range that is kept, two scalars."""
        low, high = ([name for name in place.variables if name.startswith(side)] for side in ("low", "high"))
        high = ops.maximum(sum(map(place.read, high)), 0)
        low = ops.minimum(sum(map(place.read, low)), 0) if low else -high
        return float(ops.squeeze(low)), float(ops.squeeze(high))

    def _range(self, x, place, training, symmetric):
        """Returns the lowest and the highest number, 0 among them, in a shape that meets the tensor."""
        per_channel, ranges = self._has_channels(place), self._ranges(place)
        if symmetric:
            now = {"high": place.reduced(ops.max, ops.abs(x), per_channel)}
        else:
            now = {
                "low": ops.minimum(place.reduced(ops.min, x, per_channel), 0),
                "high": ops.maximum(place.reduced(ops.max, x, per_channel), 0),
            }
        now = {side: ops.stop_gradient(value) for side, value in now.items()}
        if ranges != "current":
            now = self._learned(now, place, training)
        if ranges == "trained":
            now = {side: value + place.read(f"{side}_change") for side, value in now.items()}
        high = ops.maximum(now["high"], 0)
        return (-high if symmetric else ops.minimum(now["low"], 0)), high

    def _learned(self, now, place, training):
        """Returns the ends of the range that are kept, with those of one more batch in them."""
        batches = place.read("batches")
        ends = {}
        for side, value in now.items():
            kept = place.read(side)
            if training:
                share = ops.maximum(1 / (batches + 1), 1 - self.momentum) if self._ranges(place) == "average" else 0
                ends[side] = ops.stop_gradient(ops.where(batches == 0, value, kept + share * (value - kept)))
                place.write(side, ends[side])
            else:  # the range of activations must not depend on them, or the converter would not read it
                ends[side] = ops.where(batches > 0, kept, value) if place.is_weight else kept
        if training:
            place.write("batches", batches + 1)
        return ends

    def _has_channels(self, place):
        return _told(self.per_channel, place.is_weight and (_can_tell_channels(place) or self.bits == 8))

    def _is_told(self, place):
        """Tells whether weights pass the operation that converters read."""
        has_channels = self._has_channels(place)
        is_found = has_channels and self.bits == 8 and self._ranges(place) == "current"
        return place.is_weight and not is_found and (_can_tell_channels(place) or not has_channels)

    def _ranges(self, place):
        return self.ranges or ("current" if place.is_weight else "average")

    def get_config(self):
        return {
            "bits": self.bits,
            "symmetric": self.symmetric,
            "per_channel": self.per_channel,
            "ranges": self.ranges,
            "momentum": self.momentum,
            "packed": self.packed,
        }


def _told(choice, default):
    return default if choice is None else choice


def _can_tell_channels(place):
    """Tells whether converters read channels of weights: of matrices and transposed convolutions they do not."""
    return place.rank > MATRIX and place.axes[-1] == place.rank - 1


def _grid(low, high, n):
    """Returns the scale, one to divide by (1 where it is 0), and the integer that stands for 0."""
    scale = (high - low) / n
    safe = ops.where(scale > 0, scale, ops.ones_like(scale))
    return scale, safe, ops.clip(ops.round(-low / safe), 0, n)


def _told_to_converters(x, scale, bits, place):
    """Returns the same numbers behind the operation that says on which grid they lie.

    Args:
        x: Weights, symmetric.
        scale: Step of the grid, one for all or one for each channel.
        bits: Bits of the grid.
        place: Their place.
    """
    end = (2 ** (bits - 1) - 1) * scale
    fake_quantized = keras.quantizers.fake_quant_with_min_max_vars
    if not _can_tell_channels(place):
        return fake_quantized(x, -end, end, bits, True)
    # Convolutions before a batch normalization stay integers only with ends for each channel, be they the same.
    # The operation takes one axis of channels, and of four axes the converter finds it behind what reshapes them.
    num_channels = math.prod(x.shape[-len(place.axes) :])
    first, second, *_ = x.shape if place.rank > 3 else (1, *x.shape)
    columns = ops.reshape(x, (first, second, -1, num_channels))
    end = ops.broadcast_to(ops.reshape(end, (-1,)), (num_channels,))
    return ops.reshape(fake_quantized(columns, -end, end, bits, True, -1), x.shape)

"""Integers whose step is trained."""

import math

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.bits import check_bits
from keras_slim.quantizers.straight_through import summed_as, with_gradient
from keras_slim.validation import check_choice

TINY = 1e-30


@quantizers.register("learned_step")
@keras.saving.register_keras_serializable("keras_slim")
class LearnedStep(Quantizer):
    """Rounds to integers times a step that is trained (LSQ), for 2 to 8 bits.

    `q = s round(clip(v / s, -n, p))` with one step `s` for the tensor, of any shape; `n = 2^(bits - 1)` and `p = n - 1`
    with a sign, else `n = 0` and `p = 2^bits - 1`. Gradients: `dv = g` inside, 0 outside, and
    `ds = sum(g (round(v / s) - v / s))` inside, `-n g` and `p g` outside, times `1 / sqrt(N p)`, where `N` is how many
    weights there are, or activations of one sample. `s` begins with `2 mean |v| / sqrt(p)` of the first batch of
    training, and what is trained (the weight `*_step_change` of the layer) is how far it moves from there. Where it
    falls to 0 or below, `q` is 0, and the gradients are those of a step that goes to 0.

    Args:
        bits: 2 to 8. The paper's first and last layers have 8.
        signed: Whether there are negative numbers. By default, for weights: activations below 0 are cut off, as behind
            ReLU. Say `True` where they have negative values.

    Raises:
        TypeError, ValueError: If an argument is none of these.

    Reference:
        Esser et al. 2020, "Learned step size quantization", arXiv 1902.08153, equations 1 to 5, sections 2.1 and 2.2.
    """

    def __init__(self, bits=4, signed=None):
        self.bits = check_bits(bits, "bits", "LearnedStep")
        self.signed = check_choice(signed, "signed", "LearnedStep", (None, True, False))

    def num_values(self, place):
        return 2**self.bits

    def variables(self, place):
        return {"step": {"shape": (), "trainable": False}, "step_change": {"shape": ()}}

    def __call__(self, x, place, training=False):
        is_signed = place.is_weight if self.signed is None else self.signed
        n = 2 ** (self.bits - 1) if is_signed else 0
        p = self.num_values(place) - 1 - n
        first = 2 * place.reduced(ops.mean, ops.abs(x), per_channel=False) / math.sqrt(p)
        step = place.begun("step", first, training) + place.read("step_change")
        scale = (ops.cast(place.num_elements(x), x.dtype) * p) ** -0.5

        def values(x, step):
            return ops.round(ops.clip(x / ops.maximum(step, TINY), -n, p)) * ops.maximum(step, 0)

        def gradients(g, x, step):
            ratio = x / ops.maximum(step, TINY)
            inside = (ratio > -n) & (ratio < p)
            near = ops.clip(ratio, -n, p)
            of_step = ops.where(inside, ops.round(near) - near, near)
            of_x = ops.where(inside, g, ops.zeros_like(g))
            return of_x, summed_as(g * of_step, step) * scale

        return with_gradient(values, gradients, x, step)

    def get_config(self):
        return {"bits": self.bits, "signed": self.signed}

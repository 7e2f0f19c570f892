"""Binary weights with a scale for each filter."""

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.straight_through import signs, with_gradient


@quantizers.register("binary_scaled")
@keras.saving.register_keras_serializable("keras_slim")
class BinaryScaled(Quantizer):
    """Rounds weights to -a and a, one `a` for each filter (XNOR-Net).

    `q = a sign(w)` with `a = mean |w|` over the `n` weights of a filter, the nearest such numbers. Of any shape; the
    filters are the channels that the layer puts out. Gradient: `dw = g (1 / n + a 1[|w| <= 1])`.

    Reference:
        Rastegari et al. 2016, "XNOR-Net", arXiv 1603.05279, equations 5 and 6, and section 3.1, "Training".
    """

    def num_values(self, place):
        return 2

    def __call__(self, x, place, training=False):
        def scale(x):
            return place.reduced(ops.mean, ops.abs(x), per_channel=True)

        def gradient(g, x):
            a = scale(x)
            share = ops.sum(ops.ones_like(a)) / ops.sum(ops.ones_like(x))
            return g * (share + ops.where(ops.abs(x) <= 1, a, ops.zeros_like(a)))

        return with_gradient(lambda x: scale(x) * signs(x), gradient, x)

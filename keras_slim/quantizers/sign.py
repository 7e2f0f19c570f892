"""The sign of activations or weights."""

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.straight_through import signs, with_gradient


@quantizers.register("sign")
@keras.saving.register_keras_serializable("keras_slim")
class Sign(Quantizer):
    """Rounds to -1 and 1, the sign, for networks of one bit.

    `q = 1 where x >= 0, else -1`, of any shape. Gradient, straight through near zero:
    `dx = g 1[|x| <= 1]`. For activations, behind a batch normalization, and for weights.

    Example:

    >>> import keras_slim as slim
    >>> slim.layers.Quantize("sign")(keras.ops.array([[-0.3, 0.0, 2.0]])).numpy().tolist()
    [[-1.0, 1.0, 1.0]]

    Reference:
        Hubara et al. 2016, "Binarized neural networks", arXiv 1602.02830, equations 1 and 4.
    """

    def num_values(self, place):
        return 2

    def __call__(self, x, place, training=False):
        return with_gradient(signs, lambda g, x: ops.where(ops.abs(x) <= 1, g, ops.zeros_like(g)), x)

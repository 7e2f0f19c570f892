"""Ternary weights whose two values are trained."""

import keras
from keras import ops

from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.straight_through import summed_as, with_gradient
from keras_slim.validation import check_share


@quantizers.register("trained_ternary")
@keras.saving.register_keras_serializable("keras_slim")
class TrainedTernary(Quantizer):
    """Rounds weights to two trained values and zero (trained ternary quantization).

    `q = p where w > t, -n where w < -t, else 0` with `t = 0.05 max |w|` over all weights of a layer, of any shape.
    Gradients: `dp = sum of g where w > t`, `dn = -sum of g where w < -t`, and `dw = p g`, `g`, `n g` above, between and
    below. Start from a trained network: `p` and `n` begin with the mean of the weights on their side in the first
    batch, and what is trained (the weights `*_change` of the layer) is how far they move from there.

    Args:
        threshold: Share of `max |w|`, in [0, 1).

    Raises:
        TypeError, ValueError: If it is not such a share.

    Reference:
        Zhu et al. 2017, "Trained ternary quantization", arXiv 1612.01064, equations 6 to 9.
    """

    def __init__(self, threshold=0.05):
        self.threshold = check_share(threshold, "threshold", "TrainedTernary", zero=True)

    def num_values(self, place):
        return 3

    def variables(self, place):
        return {
            "positive": {"shape": (), "trainable": False},
            "positive_change": {"shape": ()},
            "negative": {"shape": (), "trainable": False},
            "negative_change": {"shape": ()},
        }

    def __call__(self, x, place, training=False):
        sizes = ops.stop_gradient(ops.abs(x))
        bound = self.threshold * place.reduced(ops.max, sizes, per_channel=False)
        values = []
        for side, is_there in (("positive", x > bound), ("negative", x < -bound)):
            is_there = ops.cast(is_there, x.dtype)
            total, count = (place.reduced(ops.sum, each, per_channel=False) for each in (sizes * is_there, is_there))
            values.append(place.begun(side, total / ops.maximum(count, 1), training) + place.read(f"{side}_change"))
        return with_gradient(_values, _gradients, x, *values, bound)

    def get_config(self):
        return {"threshold": self.threshold}


def _values(x, positive, negative, bound):
    return _chosen(x, bound, positive, ops.zeros_like(x), -negative)


def _gradients(g, x, positive, negative, bound):
    none = ops.zeros_like(g)
    above, below = _chosen(x, bound, g, none, none), _chosen(x, bound, none, none, g)
    of_x = _chosen(x, bound, positive * g, g, negative * g)
    return of_x, summed_as(above, positive), -summed_as(below, negative), ops.zeros_like(bound)


def _chosen(x, bound, above, between, below):
    return ops.where(x > bound, above, ops.where(x < -bound, below, between))

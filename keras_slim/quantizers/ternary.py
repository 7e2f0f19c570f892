"""Ternary weights: a threshold, and one value on either side."""

import keras
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.straight_through import with_gradient
from keras_slim.validation import check_choice, check_number

OPTIMUM = "optimum"


@quantizers.register("ternary")
@keras.saving.register_keras_serializable("keras_slim")
class Ternary(Quantizer):
    """Rounds weights to -a, 0 and a (ternary weight networks).

    `q = a sign(w) 1[|w| > t]` with `a` the mean of `|w|` above the threshold, which is `t = 0.7 mean |w|`; or the one
    with which `q` is nearest to `w`: of the sorted `|w|`, the largest `k` that maximise `(sum |w|)^2 / k`. Of any
    shape, over all weights of a layer. The gradient goes through as it is: `dw = g`.

    Args:
        threshold: Number of at least 0, by which `mean |w|` is multiplied, or `"optimum"`.
        per_channel: Whether each filter has a threshold and a value of its own.

    Raises:
        TypeError, ValueError: If the threshold is neither.

    Reference:
        Li et al. 2016, "Ternary weight networks", arXiv 1605.04711, equations 3 to 6 (the numbers vary by version).
    """

    def __init__(self, threshold=0.7, per_channel=False):
        if isinstance(threshold, str) and threshold != OPTIMUM:
            expected = f"a number of at least 0, or {OPTIMUM!r}"
            raise ValueError(invalid_argument("threshold", "Ternary", expected=expected, received=threshold))
        self.threshold = threshold if threshold == OPTIMUM else check_number(threshold, "threshold", "Ternary")
        self.per_channel = check_choice(per_channel, "per_channel", "Ternary", (True, False))

    def num_values(self, place):
        return 3

    def __call__(self, x, place, training=False):
        return with_gradient(lambda x: self._values(x, place), lambda g, x: g, x)

    def _values(self, x, place):
        sizes = ops.abs(x)
        if self.threshold == OPTIMUM:
            is_large = sizes >= self._smallest(sizes, place)
        else:
            is_large = sizes > self.threshold * place.reduced(ops.mean, sizes, self.per_channel)
        return ops.sign(x) * mean_where(is_large, sizes, place, self.per_channel)

    def _smallest(self, sizes, place):
        """Returns the smallest number above the best threshold, in a shape that meets the weights."""
        others = place.others(self.per_channel)
        channels = [axis for axis in range(len(sizes.shape)) if axis not in others]
        met = [1 if axis in others else sizes.shape[axis] for axis in range(len(sizes.shape))]
        count = 1
        for axis in others:
            count *= sizes.shape[axis]
        columns = ops.reshape(ops.transpose(sizes, [*others, *channels]), (count, -1))
        falling = ops.flip(ops.sort(columns, axis=0), axis=0)
        num_kept = ops.reshape(ops.cast(ops.arange(1, count + 1), falling.dtype), (count, 1))
        best = ops.argmax(ops.square(ops.cumsum(falling, axis=0)) / num_kept, axis=0)
        return ops.reshape(ops.take_along_axis(falling, ops.expand_dims(best, 0), axis=0), met)

    def get_config(self):
        return {"threshold": self.threshold, "per_channel": self.per_channel}


def mean_where(condition, values, place, per_channel=False):
    """Returns, for the elements where a condition holds, the mean of all such (0 if there are none), else 0."""
    condition = ops.cast(condition, values.dtype)
    total, count = (place.reduced(ops.sum, each, per_channel) for each in (values * condition, condition))
    return condition * total / ops.maximum(count, 1)

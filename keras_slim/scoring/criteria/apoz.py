"""Share of activations that are not zero."""

from keras import ops

from keras_slim.scoring.criteria.base import ActivationCriterion, criteria


@criteria.register("apoz")
class AveragePercentageOfZeros(ActivationCriterion):
    """Scores a unit by how often its activation is not zero.

    Needs inputs. One minus the average percentage of zeros, over samples and positions; only useful behind a ReLU.

    Reference: Hu et al. 2016, arXiv 1607.03250, equation 1.
    """

    def measure(self, activations, gradients):
        return ops.mean(ops.cast(activations != 0, "float32"), axis=1)

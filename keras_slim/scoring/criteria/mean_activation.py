"""Mean size of the activation."""

from keras import ops

from keras_slim.scoring.criteria.base import ActivationCriterion, criteria


@criteria.register("mean_activation")
class MeanActivation(ActivationCriterion):
    """Scores a unit by the mean absolute value of its activation.

    Needs inputs. Mean over samples and positions of `|a_i|`; after a ReLU that is the mean activation of the paper,
    and elsewhere positive and negative values do not cancel.

    Reference: Molchanov et al. 2016, arXiv 1611.06440, section 2.2, "Activation".
    """

    def measure(self, activations, gradients):
        return ops.mean(ops.abs(activations), axis=1)

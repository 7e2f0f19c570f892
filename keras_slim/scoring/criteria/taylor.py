"""First-order estimate of the change in the loss."""

from keras import ops

from keras_slim.scoring.criteria.base import ActivationCriterion, criteria


@criteria.register("taylor")
class Taylor(ActivationCriterion):
    """Scores a unit by how much the loss would change without it, to first order.

    Needs inputs and targets, and a compiled model. For each sample `|mean over positions of a_i * dL/da_i|`, then
    the mean over samples.

    Reference: Molchanov et al. 2016, arXiv 1611.06440, equation 8.
    """

    needs = "targets"

    def measure(self, activations, gradients):
        return ops.abs(ops.mean(activations * gradients, axis=1))

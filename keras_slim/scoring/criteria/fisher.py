"""Second-order estimate of the change in the loss."""

from keras import ops

from keras_slim.scoring.criteria.base import ActivationCriterion, criteria


@criteria.register("fisher")
class Fisher(ActivationCriterion):
    """Scores a unit by how much the loss would change without it, to second order.

    Needs inputs and targets, and a compiled model. Mean over samples of `(sum over positions of a_i * dL/da_i)^2`: half
    of it is the second-order term of the loss where the network has been trained to the end, and where the covariance
    of gradients (the empirical Fisher information) stands for the curvature.

    Reference: Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher pruning", arXiv 1801.05787.
    """

    needs = "targets"

    def measure(self, activations, gradients):
        return ops.square(ops.sum(activations * gradients, axis=1))

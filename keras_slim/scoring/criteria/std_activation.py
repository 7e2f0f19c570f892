"""Spread of the activation."""

import numpy as np
from keras import ops

from keras_slim.scoring.criteria.base import ActivationCriterion, criteria


@criteria.register("std_activation")
class StdActivation(ActivationCriterion):
    """Scores a unit by the standard deviation of its activation.

    Needs inputs. Over samples and positions, `s_i = sqrt(mean(a_i^2) - mean(a_i)^2)`: a unit that always puts out the
    same carries no information.

    Reference: Molchanov et al. 2016, arXiv 1611.06440, section 2.2, "Activation".
    """

    def measure(self, activations, gradients):
        activations = ops.cast(activations, "float64")  # the difference of large numbers
        return ops.mean(activations, axis=1), ops.mean(ops.square(activations), axis=1)

    def finish(self, mean, mean_square):
        return np.sqrt(np.maximum(mean_square - np.square(mean), 0))

"""Euclidean norm of weights."""

import numpy as np

from keras_slim.scoring.criteria.base import WeightCriterion, criteria


@criteria.register("l2")
class L2(WeightCriterion):
    """Scores a unit by the Euclidean norm of its incoming weights.

    Needs no data. `s_i = sqrt(sum_j w_ij^2)`.

    Reference: Molchanov et al. 2016, arXiv 1611.06440, section 2.2, "Minimum weight".
    """

    def unit_scores(self, weights):
        return np.linalg.norm(weights, axis=0)

"""Sum of absolute weights."""

import numpy as np

from keras_slim.scoring.criteria.base import WeightCriterion, criteria


@criteria.register("l1")
class L1(WeightCriterion):
    """Scores a unit by the sum of its absolute incoming weights.

    Needs no data. `s_i = sum_j |w_ij|`.

    Reference: Li et al. 2016, arXiv 1608.08710, section 3.1.
    """

    def unit_scores(self, weights):
        return np.abs(weights).sum(axis=0)

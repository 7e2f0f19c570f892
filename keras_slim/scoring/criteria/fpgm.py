"""Distance from the other units of the layer."""

import numpy as np

from keras_slim.scoring.criteria.base import WeightCriterion, criteria

ROWS = 4096


@criteria.register("fpgm")
class GeometricMedian(WeightCriterion):
    """Scores a unit by how far its incoming weights are from those of the others.

    Needs no data. `s_i = sum_j ||w_i - w_j||`, the distances to all units of the layer: a unit near the geometric
    median of the layer can be replaced by the others, however large its weights.

    Reference: He et al. 2019, "Filter pruning via geometric median", arXiv 1811.00250.
    """

    def unit_scores(self, weights):
        products = np.zeros((weights.shape[1],) * 2)
        for first in range(0, len(weights), ROWS):
            part = weights[first : first + ROWS].astype(float)
            products += part.T @ part
        squares = np.diag(products)
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0))
        return distances.sum(axis=0)

"""Chance: the baseline every criterion must beat."""

import numpy as np

from keras_slim.scoring.criteria.base import Criterion, criteria


@criteria.register("random")
class Random(Criterion):
    """Scores units by chance, the baseline every criterion must beat.

    Args:
        seed: Seed of the draw; the same seed gives the same scores. Defaults to 0.
    """

    def __init__(self, seed=0):
        self.seed = seed

    def score(self, graph, data=None):
        return np.random.default_rng(self.seed).uniform(size=graph.num_units)

    def get_config(self):
        return {"seed": self.seed}

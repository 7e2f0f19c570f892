"""How much units contribute, and how contributions of different layers become comparable.

A *criterion* gives each unit a score; *de-biasing* brings the scores of all layers to one scale. Both are open: give
the name of one, a class, an instance, or a plain function.
"""

from keras_slim.scoring.criteria import (
    L1,
    L2,
    ActivationCriterion,
    AveragePercentageOfZeros,
    BatchNormScale,
    Criterion,
    MeanActivation,
    Random,
    Taylor,
    WeightCriterion,
    criteria,
)
from keras_slim.scoring.debias import Debias, debiasers
from keras_slim.scoring.inversion import invert_feature_maps
from keras_slim.scoring.scores import check_data, unit_scores

__all__ = [
    "L1",
    "L2",
    "ActivationCriterion",
    "AveragePercentageOfZeros",
    "BatchNormScale",
    "Criterion",
    "Debias",
    "MeanActivation",
    "Random",
    "Taylor",
    "WeightCriterion",
    "check_data",
    "criteria",
    "debiasers",
    "invert_feature_maps",
    "unit_scores",
]

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
    Fisher,
    GeometricMedian,
    MeanActivation,
    Oracle,
    Product,
    Random,
    Redundancy,
    StdActivation,
    Taylor,
    WeightCriterion,
    criteria,
)
from keras_slim.scoring.debias import Debias, debiasers
from keras_slim.scoring.fitted import Fitted
from keras_slim.scoring.inversion import invert_feature_maps
from keras_slim.scoring.rank_correlation import RankCorrelation, rank_correlation
from keras_slim.scoring.scores import check_data, unit_scores

__all__ = [
    "L1",
    "L2",
    "ActivationCriterion",
    "AveragePercentageOfZeros",
    "BatchNormScale",
    "Criterion",
    "Debias",
    "Fisher",
    "Fitted",
    "GeometricMedian",
    "MeanActivation",
    "Oracle",
    "Product",
    "Random",
    "RankCorrelation",
    "Redundancy",
    "StdActivation",
    "Taylor",
    "WeightCriterion",
    "check_data",
    "criteria",
    "debiasers",
    "invert_feature_maps",
    "rank_correlation",
    "unit_scores",
]

"""How much each unit contributes: one criterion per file, all of one signature."""

from keras_slim.scoring.criteria.apoz import AveragePercentageOfZeros
from keras_slim.scoring.criteria.base import ActivationCriterion, Criterion, WeightCriterion, criteria
from keras_slim.scoring.criteria.bn_scale import BatchNormScale
from keras_slim.scoring.criteria.fisher import Fisher
from keras_slim.scoring.criteria.fpgm import GeometricMedian
from keras_slim.scoring.criteria.l1 import L1
from keras_slim.scoring.criteria.l2 import L2
from keras_slim.scoring.criteria.mean_activation import MeanActivation
from keras_slim.scoring.criteria.oracle import Oracle
from keras_slim.scoring.criteria.product import Product
from keras_slim.scoring.criteria.random import Random
from keras_slim.scoring.criteria.redundancy import Redundancy
from keras_slim.scoring.criteria.std_activation import StdActivation
from keras_slim.scoring.criteria.taylor import Taylor

__all__ = [
    "L1",
    "L2",
    "ActivationCriterion",
    "AveragePercentageOfZeros",
    "BatchNormScale",
    "Criterion",
    "Fisher",
    "GeometricMedian",
    "MeanActivation",
    "Oracle",
    "Product",
    "Random",
    "Redundancy",
    "StdActivation",
    "Taylor",
    "WeightCriterion",
    "criteria",
]

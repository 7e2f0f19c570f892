"""Layers as products of smaller ones: fewer numbers and less to compute, with stock layers of Keras.

`plan_factorization` decides, for all layers in one ranking; `factorize` carries it out, best with a look at data.
"""

from keras_slim.lowrank.factorizing import factorize
from keras_slim.lowrank.plan import FactorizationPlan, LayerFactors, LeftWhole, Size
from keras_slim.lowrank.planning import plan_factorization
from keras_slim.lowrank.rank_rules import EVBMF, Energy, RankRule

__all__ = [
    "EVBMF",
    "Energy",
    "FactorizationPlan",
    "LayerFactors",
    "LeftWhole",
    "RankRule",
    "Size",
    "factorize",
    "plan_factorization",
]

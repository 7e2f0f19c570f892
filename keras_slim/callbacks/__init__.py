"""Callbacks for `model.fit`. They decide when; what they do, the functions of the other packages do."""

from keras_slim.callbacks.dense_sparse_dense import DenseSparseDense
from keras_slim.callbacks.gradual_pruning import GradualPruning
from keras_slim.callbacks.hold_masks import HoldMasks
from keras_slim.callbacks.lottery_ticket import LotteryTicket
from keras_slim.callbacks.progressive_global_pruning import ProgressiveGlobalPruning
from keras_slim.callbacks.quantization_aware_training import QuantizationAwareTraining
from keras_slim.callbacks.structured_lottery_ticket import StructuredLotteryTicket
from keras_slim.callbacks.weight_sharing import WeightSharing

__all__ = [
    "DenseSparseDense",
    "GradualPruning",
    "HoldMasks",
    "LotteryTicket",
    "ProgressiveGlobalPruning",
    "QuantizationAwareTraining",
    "StructuredLotteryTicket",
    "WeightSharing",
]

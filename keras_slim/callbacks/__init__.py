"""Callbacks for `model.fit`. They decide when; what they do, the functions of the other packages do.

What they know of the model is in the logs of each epoch, from the first on, and so in `history`. `CSVLogger`,
`TensorBoard`, `EarlyStopping`, the progress bar and all others read it, wherever they stand in the list:

- `params` and `weight_bytes`: parameters, and the bytes in which they can be stored: of weights that are held at zero
  the others and one bit for each, of those that share values the values and a code for each (Han et al. 2016,
  equation 1), of those that are rounded their bits. All callbacks.
- `units` and `macs`: units that can go, and multiply-accumulates for one sample, where they are known; `bytes` and
  `latency` of the exported file, where a ratio is one of these. Those that cut.
- `sparsity`: share of zeros in the weights that are held. Those that hold weights.
- `distinct_values`: how many values other than zero the weights have that share values. `WeightSharing`.
- `float_loss`, `quantization_gap`: `QuantizationAwareTraining`, with `data`.
- `dsd_phase`, `learning_rate`: `DenseSparseDense`.

`Summaries` shows more of it in TensorBoard: widths, weights, scores, pictures. Outside `fit`, a callback that is called
by itself fills the logs that it is given.
"""

from keras_slim.callbacks.dense_sparse_dense import DenseSparseDense
from keras_slim.callbacks.gradual_pruning import GradualPruning
from keras_slim.callbacks.hold_masks import HoldMasks
from keras_slim.callbacks.lottery_ticket import LotteryTicket
from keras_slim.callbacks.progressive_global_pruning import ProgressiveGlobalPruning
from keras_slim.callbacks.quantization_aware_training import QuantizationAwareTraining
from keras_slim.callbacks.structured_lottery_ticket import StructuredLotteryTicket
from keras_slim.callbacks.summaries import Summaries
from keras_slim.callbacks.weight_sharing import WeightSharing

__all__ = [
    "DenseSparseDense",
    "GradualPruning",
    "HoldMasks",
    "LotteryTicket",
    "ProgressiveGlobalPruning",
    "QuantizationAwareTraining",
    "StructuredLotteryTicket",
    "Summaries",
    "WeightSharing",
]

"""The best way to make a model smaller, looked for by keras-tuner: `pip install 'keras_slim[tuning]'`.

A `CompressionHyperModel` is what a tuner of keras-tuner searches: `RandomSearch`, `BayesianOptimization`, `Hyperband`.
`read_trials` puts all trials side by side, as data, a table and a picture, with those that none beats in both quality
and size. A `Method` says what a trial does: `Prune`, `Quantize`, `Factorize`, or one of your own.
"""

from keras_slim.tuning.hyper_model import CompressionHyperModel
from keras_slim.tuning.methods import Factorize, Method, Nothing, Prune, Quantize, Training
from keras_slim.tuning.trials import TrialResult, Trials, read_trials

__all__ = [
    "CompressionHyperModel",
    "Factorize",
    "Method",
    "Nothing",
    "Prune",
    "Quantize",
    "Training",
    "TrialResult",
    "Trials",
    "read_trials",
]

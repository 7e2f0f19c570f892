"""Making scores of different layers comparable.

Scores are biased by a layer's depth, width and fan-in, so one ranking of all units of a network fails unless each
layer's scores are de-biased first (Wang 2017; Molchanov et al. 2016, arXiv 1611.06440, section 2.2). Each function
takes the scores of one group, keeps their order and stays finite, also on constant scores and on zeros.
"""

import abc

import numpy as np

from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.identifiers import Registry


class Debias(abc.ABC):
    """Maps one layer's scores to a scale that all layers share, in their order."""

    alias = None
    needs = "nothing"
    """What data `factors` looks at: `"nothing"`, or `"targets"` (inputs and targets)."""

    def factors(self, graph: ChannelGraph, scores: np.ndarray, data=None) -> np.ndarray:
        """Returns by how much the de-biased scores of each group are multiplied.

        Args:
            graph: Channel graph of the model.
            scores: Array of shape `(graph.num_units,)`, not de-biased.
            data: As in `Criterion.score`. Only read when `needs` says so.

        Returns:
            Array of shape `(len(graph.groups),)`, positive. Defaults to ones.
        """
        return np.ones(len(graph.groups))

    @abc.abstractmethod
    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the de-biased scores.

        Args:
            scores: Array of shape `(units,)`: the scores of one group.

        Returns:
            Array of the same shape.
        """

    def get_config(self) -> dict:
        """Returns the constructor's arguments, as plain values."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Debias":
        """Returns a de-biaser made with the arguments of `get_config`."""
        return cls(**config)


class FunctionDebias(Debias):
    """A user's function from scores to scores as a de-biaser."""

    def __init__(self, function):
        self.function = function
        self.alias = getattr(function, "__name__", "function")

    def __call__(self, scores):
        return self.function(scores)


debiasers = Registry("de-biasing", Debias, wrap_function=FunctionDebias)


def _divide(scores, scale):
    """Returns `scores / scale`, zeros where the scale is zero."""
    return scores / scale if scale > 0 else np.zeros_like(scores)


@debiasers.register("none")
class NoDebias(Debias):
    """Leaves scores as they are."""

    def __call__(self, scores):
        return scores


@debiasers.register("mean")
class MeanDebias(Debias):
    """Divides by the mean: `s / mean(|s|)`."""

    def __call__(self, scores):
        return _divide(scores, np.abs(scores).mean())


@debiasers.register("max")
class MaxDebias(Debias):
    """Divides by the maximum: `s / max(|s|)`."""

    def __call__(self, scores):
        return _divide(scores, np.abs(scores).max())


@debiasers.register("l2")
class L2Debias(Debias):
    """Divides by the Euclidean norm: `s / ||s||_2` (Molchanov et al. 2016, section 2.2)."""

    def __call__(self, scores):
        return _divide(scores, np.linalg.norm(scores))


@debiasers.register("rms")
class RootMeanSquareDebias(Debias):
    """Divides by the root mean square: `s / sqrt(mean(s^2))`, the norm without the width."""

    def __call__(self, scores):
        return _divide(scores, np.sqrt(np.square(scores).mean()))


@debiasers.register("z_score")
class ZScoreDebias(Debias):
    """Subtracts the mean and divides by the standard deviation."""

    def __call__(self, scores):
        return _divide(scores - scores.mean(), scores.std())


@debiasers.register("rank")
class RankDebias(Debias):
    """Replaces a score by its quantile in the layer, which cuts all layers in the same proportion.

    Equal scores share their mean quantile.
    """

    def __call__(self, scores):
        ordered = np.sort(scores)
        below = np.searchsorted(ordered, scores, side="left")
        not_above = np.searchsorted(ordered, scores, side="right")
        return (below + not_above) / (2 * len(scores))

"""What the other units do not explain."""

import numpy as np
from keras import ops

from keras_slim.graph.channels import WHOLE
from keras_slim.scoring.averaging import mean_by_unit
from keras_slim.scoring.criteria.base import Criterion, criteria, weights_by_channel
from keras_slim.scoring.observation import observe
from keras_slim.validation import check_positive

ROWS_PER_CHANNEL, FEWEST_ROWS = 8, 4096


@criteria.register("redundancy")
class Redundancy(Criterion):
    """Scores a unit by what others cannot put in its place.

    Needs inputs. `s_i = sigma_i * sqrt(1 / inv(R + r I)_ii - r) * ||w_i||`: the standard deviation of what is left of
    a unit's activation after a ridge regression on all others of its layer (`R` is the correlation matrix of the
    activations, `sigma_i` the standard deviation), times the Euclidean norm of all weights that read it. A copy of
    another unit scores next to nothing, however active it is: `keras_slim.pruning.Calibration` lets the other stand in
    for it. One pass, which holds a square matrix for each layer; of large maps it looks at some positions, drawn by
    chance.

    Args:
        ridge: The penalty `r`. Defaults to 1e-4.

    Reference: Wang 2017, "functional redundancy"; that a diagonal element of an inverse correlation matrix is one
    over the share that a regression leaves: Whittaker 1990, "Graphical Models in Applied Multivariate Statistics".
    """

    needs = "inputs"

    def __init__(self, ridge=1e-4):
        self.ridge = check_positive(ridge, "ridge", "Redundancy")

    def score(self, graph, data=None):
        seen = observe(graph, data, _Moments(), gradients=False)
        left = mean_by_unit(graph.num_units, (self._unexplained(units, *means) for units, means in seen))
        return left * _norms_of_readers(graph)

    def get_config(self):
        return {"ridge": self.ridge}

    def _unexplained(self, units, mean, products):
        """Returns the units of a place, and what is left of each; channels of one unit do not explain each other."""
        covariance = products - np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        divisor = np.where(deviation > 0, deviation, 1)
        correlation = covariance / np.outer(divisor, divisor)
        precision = np.linalg.inv(correlation + self.ridge * np.eye(len(units)))
        real = np.unique(units[units != WHOLE])
        variances = []
        for unit in real:
            own = np.flatnonzero(units == unit)
            shares = np.diag(np.linalg.inv(precision[np.ix_(own, own)])) - self.ridge
            variances.append(np.mean(shares * np.square(deviation[own])))
        return real, np.sqrt(np.maximum(variances, 0))


def _norms_of_readers(graph):
    """Returns the Euclidean norm of all slopes with which a unit is read, for each: weights, or 1 in a distance."""
    squares = np.zeros(graph.num_units + 1)  # the last one for positions that belong to no unit
    for slot in graph.slots:
        if slot.role == "consumes":
            np.add.at(squares, slot.units, np.square(weights_by_channel(slot), dtype=float).sum(axis=0))
        elif slot.role == "measures":
            np.add.at(squares, slot.units, len(weights_by_channel(slot)))
    return np.sqrt(squares[:-1])


class _Moments:
    """First and second moments of channels, at positions drawn by chance where there are many."""

    def __init__(self):
        self._rng = np.random.default_rng(0)

    def __call__(self, activations, gradients):
        samples, positions, channels = activations.shape
        wanted = max(FEWEST_ROWS, ROWS_PER_CHANNEL * channels) // samples + 1
        if wanted < positions:
            activations = ops.take(activations, self._rng.choice(positions, wanted, replace=False), axis=1)
        rows = ops.cast(ops.reshape(activations, (-1, channels)), "float64")
        share = samples / len(rows)
        return ops.sum(rows, axis=0) * share, ops.matmul(ops.transpose(rows), rows) * share

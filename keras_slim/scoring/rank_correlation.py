"""Judging scores by the ground truth."""

from dataclasses import dataclass, field

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.graph.analysis import analyse
from keras_slim.graph.opening import opened
from keras_slim.scoring.criteria import Oracle, criteria
from keras_slim.scoring.data import drawn
from keras_slim.scoring.debias import NoDebias, RankDebias, debiasers
from keras_slim.scoring.scores import unit_scores


@dataclass(frozen=True, eq=False)
class RankCorrelation:
    """How well scores put units in the order of what the loss rises without them.

    Args:
        overall: Spearman's rank correlation over all units of the model: 1 is the order of the oracle, 0 is chance.
        per_layer: The same inside each group of units, by its name; NaN where scores do not differ.
        scores: The de-biased scores, shape `(units,)`.
        oracle: What they were compared with, shape `(units,)`.
    """

    overall: float
    per_layer: dict[str, float]
    scores: np.ndarray = field(repr=False)
    oracle: np.ndarray = field(repr=False)

    def __str__(self):
        width = max(map(len, ("overall", *self.per_layer)))
        rows = {"overall": self.overall, **self.per_layer}
        return "\n".join(f"{name:{width}} {rho:6.3f}" for name, rho in rows.items())


def rank_correlation(
    model: keras.Model,
    data,
    criterion="taylor",
    debias="l2",
    *,
    oracle=None,
    steps: int | None = None,
    ignore=(),
    verbose: int = 0,
) -> RankCorrelation:
    """Judges scores by how the loss rises when each unit alone is removed.

    Args:
        model: A built and compiled Functional or Sequential model. It is not changed.
        data: What the criterion and the oracle look at, inputs and targets, as in `plan_pruning`.
        criterion: How much a unit contributes, as in `plan_pruning`.
        debias: How scores of layers become comparable, as in `plan_pruning`.
        oracle: Scores to compare with, shape `(units,)`: those of `.oracle` of an earlier comparison, which took most
            of its time, or the `Oracle`'s on other data. Computed on `data` by default.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        ignore: Names of layers to leave out.
        verbose: 1 shows progress.

    Returns:
        A `RankCorrelation`.

    Raises:
        ValueError: If data or the oracle does not fit the model.
        RuntimeError: If the model is not compiled.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> first = slim.scoring.rank_correlation(model, (x, y), "taylor", "l2")
    >>> second = slim.scoring.rank_correlation(model, (x, y), "l1", "mean", oracle=first.oracle)
    >>> bool(-1 <= second.overall <= 1)
    True

    Reference: Molchanov et al. 2016, arXiv 1611.06440, section 3.1 and table 1.
    """
    owner = "rank_correlation"
    criterion = criteria.get(criterion, "criterion", owner)
    debias = debiasers.get(debias, "debias", owner)
    graph = analyse(opened(model, owner), ignore, owner)
    data = drawn(data, steps, owner)
    if oracle is None:
        oracle = unit_scores(graph, Oracle(verbose), NoDebias(), data, steps=steps, owner=owner)
    else:
        oracle = _checked_oracle(oracle, graph.num_units, owner)
    scores = unit_scores(graph, criterion, debias, data, steps=steps, owner=owner, verbose=verbose)
    per_layer = {group.name: spearman(scores[group.units], oracle[group.units]) for group in graph.groups}
    return RankCorrelation(spearman(scores, oracle), per_layer, scores, np.asarray(oracle))


def _checked_oracle(oracle, count, owner):
    """Returns scores that were given as an array, or raises `ValueError`."""
    try:
        scores = np.asarray(oracle, float)
    except (ValueError, TypeError):
        received = oracle
    else:
        if scores.shape == (count,):
            return scores
        received = f"shape {scores.shape}"
    raise ValueError(invalid_argument("oracle", owner, expected=f"scores of shape {(count,)}", received=received))


def spearman(first, second):
    """Returns Spearman's rank correlation of two arrays, equal values sharing their mean rank; NaN for constants.

    Example:

    >>> round(spearman([1.0, 2.0, 3.0, 4.0], [10.0, 30.0, 20.0, 40.0]), 3)
    0.8
    """
    quantiles = np.array([RankDebias()(np.asarray(each, float)) for each in (first, second)])
    if len(quantiles[0]) == 0 or (np.ptp(quantiles, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(quantiles)[0, 1])

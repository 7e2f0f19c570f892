"""What is summed up of activations, batch by batch, to fit those before a cut by those after it."""

import dataclasses
from collections import defaultdict

import numpy as np

from keras_slim.distribution import sum_over_processes
from keras_slim.graph.channels import WHOLE

ROWS_PER_COLUMN, FEWEST_ROWS = 8, 4096
MOST_COLUMNS = 4096
"""How many stand in for each other at most: the matrices of very wide layers would not fit into memory."""

RIDGES = (1, 1e2, 1e4, 1e6)
"""Multiples of the least penalty that are tried."""

SPARSE = 0.1
"""From which share of zeros on weights are taken to be pruned one by one: trained ones are hardly ever exactly zero."""

LEAST_PENALTY = np.finfo(float).tiny ** 0.5
"""Where there is nothing to fit."""


def columns_of(units, keep):
    """Returns where the units stand along an axis, in arrays of one row per unit and a column per time it is there.

    Units that are there equally often stand in one array, and can stand in for each other: a flattened image has each
    filter once for every pixel, in the same order. Where all are there once, so can positions that are never cut. Very
    many are divided, and where all are kept then, none has to stand in.
    """
    positions = defaultdict(list)
    for position, unit in enumerate(units.tolist()):
        positions[unit if unit != WHOLE else f"whole {position}"].append(position)
    by_count = defaultdict(list)
    for unit, places in positions.items():
        if len(places) == 1 or not isinstance(unit, str):
            by_count[len(places)].append(places)
    arrays = []
    for places in map(np.array, by_count.values()):
        parts = np.array_split(places, -(-len(places) // MOST_COLUMNS))
        alive = np.append(keep, True)
        arrays += [part for part in parts if len(parts) == 1 or not alive[units[part[:, 0]]].all()]
    return arrays


class Moments:
    """Second moments of columns of activations, before the cut and after it, summed up batch by batch.

    Args:
        columns: Where each column stands along the axis, as many times as it does, shape `(columns, times)`.
        keep: Boolean array: whether each unit is kept.
        units: The unit at each position of the axis, as in `Slot`.
    """

    def __init__(self, columns, keep, units):
        self.columns = columns
        self.kept = np.append(keep, True)[units[columns[:, 0]]]
        num_kept = int(self.kept.sum())
        self._halves = [_Sums(num_kept, len(columns)) for _ in range(2)]

    @property
    def count(self):
        """How many rows there were."""
        return sum(half.count for half in self._halves)

    @property
    def is_finite(self):
        """Whether there was no NaN and no infinity among the activations."""
        return all(np.isfinite(half.between).all() for half in self._halves)

    def add(self, before, after, rng, share=1.0):
        """Takes in activations before and after, each `(rows, positions)`; of very many rows, a random part.

        They are those of a batch, or of a share of it.
        """
        limit = int(share * max(FEWEST_ROWS, ROWS_PER_COLUMN * len(self.columns))) // self.columns.shape[1] + 1
        if len(before) > limit:
            chosen = np.sort(rng.choice(len(before), limit, replace=False))
            before, after = before[chosen], after[chosen]
        first, second = self._halves
        middle = (len(before) + (first.count <= second.count)) // 2  # one row at a time goes into either in turn
        for half, part in zip(self._halves, (slice(middle), slice(middle, None)), strict=True):
            half.add(_table(before[part], self.columns), _table(after[part], self.columns[self.kept]))

    def total(self):
        """Adds what the other processes have taken in that train the same model."""
        for half in self._halves:
            vars(half).update(sum_over_processes(vars(half)))

    def fit(self, ridge, intercept):
        """Returns the `Fit` of the ridge regression."""
        first, second = self._halves
        itself = np.flatnonzero(self.kept)
        penalties = [ridge * factor for factor in RIDGES]
        fits = [first.fit(penalty, itself, intercept) for penalty in penalties]
        errors = [second.error(each) for each in (*fits, first.fit(None, itself, intercept))]
        good = 1.01 * min(errors) + 1e-12 * second.among_before  # of those about as good, the least penalty
        chosen = next(each for each, error in zip([*penalties, None], errors, strict=True) if error <= good)
        return (first + second).fit(chosen, itself, intercept)


@dataclasses.dataclass(frozen=True)
class Fit:
    """What columns before a cut are fitted by.

    Args:
        beta: Each column as a sum of kept ones, shape `(kept, columns)`.
        before: Means of all columns before the cut, shape `(columns,)`; zeros if there are no constants.
        after: Means of the kept ones after it, shape `(kept,)`.
        metric: By what a deviation from `beta` is measured, shape `(kept, kept)`: their covariance, and the penalty.
    """

    beta: np.ndarray
    before: np.ndarray
    after: np.ndarray
    metric: np.ndarray

    @property
    def constants(self):
        """What the fit adds to each column, shape `(columns,)`."""
        return self.before - self.after @ self.beta

    def stand_in(self, read, kept):
        """Returns the weights of the kept columns, shape `(kept, ...)`, in the place of those of all, `(columns, ...)`.

        Where weights are pruned one by one, those that are zero stay so, and the others are fitted without them.
        """
        new = np.tensordot(self.beta, read, axes=1)
        if np.mean(read == 0) < SPARSE:
            return new
        support = read[kept] != 0
        return _on_support(new.reshape(len(new), -1), support.reshape(len(new), -1), self.metric).reshape(new.shape)


def _on_support(weights, support, metric):
    """Returns the columns of weights `(kept, sums)` with zeros where there is no support, nearest by the metric."""
    nearest = np.where(support, weights, 0)
    for sums in np.flatnonzero((nearest != weights).any(axis=0) & support.any(axis=0)):
        held, freed = np.flatnonzero(support[:, sums]), np.flatnonzero(~support[:, sums])
        lost = metric[np.ix_(held, freed)] @ weights[freed, sums]
        nearest[held, sums] += np.linalg.solve(metric[np.ix_(held, held)], lost)
    return nearest


class Spread:
    """Means and variances of sums, before the cut and after it."""

    def __init__(self):
        self.count = 0
        self._sums = np.zeros((2, 2, 1))

    @property
    def is_finite(self):
        """Whether there was no NaN and no infinity among the sums."""
        return bool(np.isfinite(self._sums).all())

    def add(self, before, after, rng, share=1.0):
        """Takes in sums before and after, each `(rows, positions)`, all of them."""
        self.count += len(before)
        pair = (each.astype(float) for each in (before, after))
        self._sums = self._sums + [[each.sum(axis=0), np.square(each).sum(axis=0)] for each in pair]

    def total(self):
        """Adds what the other processes have taken in that train the same model."""
        vars(self).update(sum_over_processes(vars(self)))

    def means(self):
        """Returns the means before and after."""
        return self._sums[:, 0] / self.count

    def scale(self):
        """Returns the standard deviations after, as multiples of those before; 1 where there are none."""
        squares = self._sums[:, 1] / self.count
        before, after = np.maximum(squares - self.means() ** 2, 1e-12 * squares)
        return np.sqrt(np.divide(after, before, out=np.ones_like(before), where=before > 0))


def _table(rows, columns):
    """Returns columns of rows, a row for each time they are there."""
    table = np.moveaxis(rows[:, columns], 1, -1).astype(float)
    return table.reshape(table.shape[0] * table.shape[1], len(columns))


class _Sums:
    """Sums of products, of the kept columns after the cut and of all before it."""

    def __init__(self, num_kept, num_columns):
        self.count = 0
        self.before, self.after = np.zeros(num_columns), np.zeros(num_kept)
        self.among_before = 0.0  # the squares alone
        self.among_after, self.between = np.zeros((num_kept, num_kept)), np.zeros((num_kept, num_columns))

    def __add__(self, other):
        both = _Sums(len(self.after), len(self.before))
        for name, value in vars(self).items():
            setattr(both, name, value + vars(other)[name])
        return both

    def add(self, before, after):
        self.count += len(before)
        self.before += before.sum(axis=0)
        self.after += after.sum(axis=0)
        self.among_before += np.square(before).sum()
        self.among_after += after.T @ after
        self.between += after.T @ before

    def fit(self, ridge, itself, intercept):
        """Returns the `Fit`.

        Args:
            ridge: The penalty; `None` lets each unit stand for itself alone.
            itself: Of each kept column, which it is among all.
            intercept: Whether there are constants.
        """
        before, after = (each / max(1, self.count) * intercept for each in (self.before, self.after))
        beta, among = np.zeros_like(self.between), self.among_after / max(1, self.count) - np.outer(after, after)
        if ridge is not None:
            missing = self.between / self.count - np.outer(after, before)
            missing[:, itself] -= among
            among[np.diag_indices_from(among)] += max(ridge * np.trace(among) / max(1, len(among)), LEAST_PENALTY)
            beta = np.linalg.solve(among, missing)
        beta[np.arange(len(itself)), itself] += 1
        return Fit(beta, before, after, among)

    def error(self, fit):
        """Returns the sum of the squared errors of a fit."""
        beta, constants = fit.beta, fit.constants
        explained = 2 * np.sum(beta * self.between) + 2 * constants @ self.before
        size = np.sum(beta * (self.among_after @ beta)) + 2 * constants @ (self.after @ beta)
        return self.among_before - explained + size + self.count * constants @ constants

"""What kernels read, summed up over data: second moments of patches."""

import warnings
from typing import Any

import keras
import numpy as np
import scipy.linalg

from keras_slim.errors import SlimWarning
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.masks import mask_of
from keras_slim.graph.running import KeptState
from keras_slim.kernels.backends import without_gradients
from keras_slim.progress_display import progress
from keras_slim.pruning.lock_step import last_uses

ROWS_PER_COLUMN, FEWEST_ROWS = 8, 8192
FLOOR = 1e-10
RIDGE = 1e-6
"""Penalty on the squares of what a fitted kernel differs from the layer's own, as a share of the mean variance."""
AS_GOOD = 1e-3
"""By how much of what it explains a fit may be worse that is taken for as good."""
PIECE = 2**26
"""Bytes of rows that are summed up at a time."""
BYTES_PER_MOMENT = 32
"""What second moments take for each pair of columns: their own, and those with another network, of two halves."""
RIDGES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Penalties that are tried, as shares of the mean variance: on what factors make of inputs that hardly occur."""


def looked_at(kinds: dict, memory: int, depth: int) -> dict:
    """Returns those of some `Factorable`s, by layer, of which data tells something; warns of too large ones.

    Args:
        kinds: The `Factorable`s by layer.
        memory: Bytes that the second moments of one layer may take.
        depth: How many calls above this one the user's is, for the warning.
    """
    seeing = {layer: kind for layer, kind in kinds.items() if kind.sees_data}
    sizes = {layer: _bytes_of(kind) for layer, kind in seeing.items()}
    large = {layer.name: size for layer, size in sizes.items() if size > memory}
    if large:
        warnings.warn(
            f"Layers {[*large]} read so many numbers at a place that second moments of these take more than "
            f"memory={memory} bytes. What stands for their kernels is the best for these, not for the data. For a look "
            f"at it: `memory={max(large.values())}`.",
            SlimWarning,
            stacklevel=1 + depth,
        )
    return {layer: kind for layer, kind in seeing.items() if sizes[layer] <= memory}


def moments(program, model, kinds, seeing, batches, memory, verbose):
    """Yields dictionaries from layers to second moments of what they read, so many at a time as fit into memory.

    Args:
        program: The `Program` of the model.
        model: The model.
        kinds: A `Factorable` for each layer.
        seeing: Those of them that are looked at; all others have `None`.
        batches: As `calibration_inputs` returns them; `None` if none is looked at.
        memory: Bytes that the second moments may take.
        verbose: 0 shows nothing, 1 how far it is, if it takes more than five seconds.
    """
    yield {layer: None for layer in kinds if layer not in seeing}
    for group in _groups(seeing, memory):
        found = _seen_of(program, model, group, batches, verbose)
        yield found
        found.clear()


def _groups(kinds, memory):
    """Yields parts of a dictionary of `Factorable`s by layer, of which second moments fit into memory."""
    group, taken = {}, 0
    for layer, kind in kinds.items():
        size = _bytes_of(kind)
        if group and taken + size > memory:
            yield group
            group, taken = {}, 0
        group[layer] = kind
        taken += size
    if group:
        yield group


def _bytes_of(kind):
    """Returns how much second moments of what a `Factorable` reads take."""
    return BYTES_PER_MOMENT * kind.num_moments


@without_gradients()
def _seen_of(program, model, kinds, batches, verbose):
    """Returns the second moments of what some kernels read, by layer, in one pass."""
    seen = {layer: kind.seen() for layer, kind in kinds.items()}
    last = max(index for index, call in enumerate(program.calls) if call.operation in seen)
    uses = last_uses(program)
    with (
        KeptState(model),
        clear_about_channels_first(model),
        progress("Looking at data", "batches", verbose) as counted,
    ):
        for inputs in counted(batches()):
            values = dict(zip(program.inputs, inputs, strict=True))
            for index, call in enumerate(program.calls[: last + 1]):
                if call.operation in seen:
                    seen[call.operation].add([values[number] for number in kinds[call.operation].reads(call)])
                if index < last:
                    values |= call(values)
                for number in uses[index]:
                    values.pop(number, None)
    for each in seen.values():
        each.check()
    return {layer: each.gram() for layer, each in seen.items()}


class Seen:
    """Second moments of what a kernel reads in a network, and of that with what it reads in another.

    Args:
        kind: The `Factorable`.
        is_centered: Whether means do not count, since a bias makes up for them.
    """

    def __init__(self, kind, is_centered: bool):
        self._kind = kind
        self._is_centered = is_centered
        self._rng = np.random.default_rng(0)
        size = kind.num_columns
        self._origin_before, self._origin = np.zeros(size), np.zeros(size)  # so that large means take no digits
        self._halves = [_Sums(size, is_centered) for _ in range(2)]

    def check(self) -> None:
        """Raises `ValueError` if what is read, here or in the other network, is not finite, or is padding alone."""
        if not self.count:
            raise ValueError(
                f"All that '{self._kind.layer.name}' reads of `data` is masked. Expected steps that are not padding."
            )
        if not all(np.isfinite(half.gram).all() and np.isfinite(half.cross).all() for half in self._halves):
            raise ValueError(
                f"What '{self._kind.layer.name}' reads holds values that are not finite. Expected finite activations "
                "on `data`. Look for NaN in the data and in the weights."
            )

    def add(self, values, before=None, share: float = 1.0) -> None:
        """Takes in what goes into the layer, or a share of a batch of it; of very many rows, a random part.

        Args:
            values: What goes in, as `reads` of the `Factorable` tells.
            before: What goes in at the same places of the other network. Optional.
            share: The share of a batch.
        """
        size = self._kind.num_columns
        limit = max(1, int(share * max(FEWEST_ROWS, ROWS_PER_COLUMN * size)))
        mask = self._mask(values if before is None else before)
        is_same = before is not None and before[0] is values[0]
        seed, length = self._rng.integers(2**32), max(1, PIECE // (8 * size))
        one, other = self._halves
        is_first_less = one.count <= other.count  # one row at a time goes into either in turn
        first, total = 0, 1
        while first < total:
            picked = _Picked(limit, seed, first, length)
            rows, self._origin = self._from(self._origin, self._rows(values, mask, picked))
            others = None
            if is_same:
                self._origin_before = self._origin
            elif before is not None:
                others, self._origin_before = self._from(self._origin_before, self._rows(before, mask, picked))
            total = picked.total
            middle = max(0, (total + is_first_less) // 2 - first)
            for half, part in ((one, slice(middle)), (other, slice(middle, None))):
                if len(rows[part]):
                    half.add(rows[part], None if others is None else others[part], is_same)
            first += length

    def _from(self, origin, rows):
        """Returns rows as differences from an origin, which is the mean of the first ones, and the origin."""
        if not self._is_centered:
            return rows, origin
        with np.errstate(invalid="ignore"):  # infinities are told of in the end
            origin = origin if self.count or not len(rows) else rows.mean(axis=0)
            return rows - origin, origin

    def _mask(self, values):
        """Returns which steps of a value count; `None` if all do."""
        mask = values[1] if len(values) > 1 else mask_of(values[0])
        if mask is None or not self._kind.leaves_out_padding:
            return None
        return keras.ops.convert_to_numpy(mask).astype(bool)

    def _rows(self, values, mask, chosen):
        value = keras.ops.convert_to_numpy(values[0])
        return self._kind.rows(value if mask is None else value[mask], chosen).astype(float)

    @property
    def count(self) -> int:
        """How many rows there were."""
        return sum(half.count for half in self._halves)

    @property
    def _whole(self):
        one, other = self._halves
        return one + other

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean of what is read in the other network, and in this one."""
        before, after = (sum(getattr(half, name) for half in self._halves) for name in ("mean_before", "mean"))
        return self._origin_before + before / self.count, self._origin + after / self.count

    def gram(self, ridge: float = 0.0) -> np.ndarray:
        """Returns the mean of `x x'`, without their means if these do not count, never below rounding.

        Args:
            ridge: What is added to the squares, as a share of the mean variance.
        """
        return _raised(self._whole.moments(), ridge)

    def regressed(self, matrix: np.ndarray, ridge: float = 0.0) -> np.ndarray:
        """Returns the matrix that makes of what is read here what another makes of what is read in the other network.

        It is that of least squares, near the other one where what is read does not tell.

        Args:
            matrix: The other matrix.
            ridge: Penalty on the squares of what it differs from the other one, as a share of the mean variance.
        """
        whole = self._whole
        return _regressed(whole.moments(), whole.between(), matrix, ridge)

    def best_ridge(self, matrix: np.ndarray, fit) -> float:
        """Returns the penalty with which a fit to one half of the data is best for the other half.

        Of those about as good it is the least. Without it, the fit to layers that read many numbers at few places makes
        much of what hardly occurs.

        Args:
            matrix: As for `regressed`.
            fit: Function of a regressed matrix and a Gram matrix that returns the matrix that stands for it.
        """
        one, other = self._halves
        if not (one.count and other.count):
            return RIDGES[0]
        moments, between = one.moments(), one.between()
        gram, wanted = other.moments(), other.between() @ matrix
        errors = []
        for ridge in RIDGES:
            found = fit(_regressed(moments, between, matrix, ridge), _raised(moments.copy(), ridge))
            errors.append(np.vdot(found, gram @ found) - 2 * np.vdot(found, wanted))
        good = min(errors) + AS_GOOD * abs(min(errors))
        return next(ridge for ridge, error in zip(RIDGES, errors, strict=True) if error <= good)


class _Sums:
    """Sums over rows: of what is read, of its products, and of those with what is read in the other network.

    Args:
        size: The length of a row.
        is_centered: Whether means do not count.
    """

    def __init__(self, size, is_centered):
        self._is_centered = is_centered
        self.count = 0
        self.mean_before, self.mean = np.zeros(size), np.zeros(size)
        self.gram = np.zeros((size, size))
        self.cross: Any = 0.0

    def __add__(self, other):
        whole = _Sums(len(self.mean), self._is_centered)
        for name in ("count", "mean_before", "mean", "gram", "cross"):
            setattr(whole, name, getattr(self, name) + getattr(other, name))
        return whole

    def add(self, rows, before, is_same):
        """Takes in rows, and those of the other network; `None` if there is no other, or they are the same."""
        gram = rows.T @ rows
        self.count += len(rows)
        self.mean += rows.sum(axis=0)
        self.gram += gram
        if is_same or before is not None:
            before = rows if is_same else before
            self.mean_before += before.sum(axis=0)
            self.cross = self.cross + (gram if is_same else rows.T @ before)

    def moments(self):
        """Returns the mean of `x x'`."""
        return self._with_floor(self.gram / self.count - self._outer(self.mean, self.mean))

    def between(self):
        """Returns the mean of `x y'`, with `y` what is read in the other network; as if some rows were the same."""
        return self._with_floor(self.cross / self.count - self._outer(self.mean, self.mean_before))

    def _with_floor(self, moments):
        """Returns second moments with what is more than rounding leaves of inputs that hardly vary."""
        size = len(moments)
        moments.flat[:: size + 1] += FLOOR * np.trace(self.gram) / (size * self.count)
        return moments

    def _outer(self, first, second):
        return np.outer(first, second) / self.count**2 if self._is_centered else 0.0


def _regressed(gram, between, matrix, ridge):
    """Returns what `Seen.regressed` does, for these moments."""
    penalty = (max(ridge, RIDGE) * np.trace(gram) / len(gram) or 1.0) * np.eye(len(gram))
    return scipy.linalg.solve(gram + penalty, (between + penalty) @ matrix, assume_a="pos")


def _raised(gram, ridge):
    """Returns a Gram matrix with a share of its mean diagonal added to the diagonal."""
    gram.flat[:: len(gram) + 1] += ridge * np.trace(gram) / len(gram)
    return gram


class _Picked:
    """Picks rows, all or a random part, and of these one piece.

    Args:
        limit: How many rows at most.
        seed: Seed of the choice.
        first: Where the piece begins.
        size: How long it is.

    Attributes:
        total: How many rows all pieces have, known once it was called.
    """

    def __init__(self, limit, seed, first, size):
        self._limit, self._seed, self._piece = limit, seed, slice(first, first + size)
        self.total = 0

    def __call__(self, number):
        every = np.arange(number)
        if number > self._limit:
            every = np.sort(np.random.default_rng(self._seed).choice(number, self._limit, False))
        self.total = len(every)
        return every[self._piece]

"""What kernels read, summed up over data: second moments of patches."""

import warnings
from typing import Any

import keras
import numpy as np

from keras_slim.errors import SlimWarning

ROWS_PER_COLUMN, FEWEST_ROWS = 8, 8192
FLOOR = 1e-10
MOST_COLUMNS = 8192
"""Of how many numbers second moments are taken at most: these take 512 MiB, and grow with the square."""


def looked_at(kinds: dict) -> dict:
    """Returns those of some `Factorable`s, by layer, of which data tells something; warns of too large ones."""
    seeing = {layer: kind for layer, kind in kinds.items() if kind.sees_data}
    large = [layer.name for layer, kind in seeing.items() if kind.num_columns > MOST_COLUMNS]
    if large:
        warnings.warn(
            f"Layers {large} read more than {MOST_COLUMNS} numbers at a place, of which second moments take too much "
            "memory. Their factors are the best for their kernels, not for the data.",
            SlimWarning,
            stacklevel=5,
        )
    return {layer: kind for layer, kind in seeing.items() if kind.num_columns <= MOST_COLUMNS}


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
        self.count = 0
        self._origin_before, self._origin = np.zeros(size), np.zeros(size)  # so that large means take no digits
        self._mean_before, self._mean = np.zeros(size), np.zeros(size)
        self._gram = np.zeros((size, size))
        self._cross: Any = 0.0

    def check(self) -> None:
        """Raises `ValueError` if what is read, here or in the other network, is not finite."""
        if not (np.isfinite(self._gram).all() and np.isfinite(self._cross).all()):
            raise ValueError(
                f"What '{self._kind.layer.name}' reads holds values that are not finite. Expected finite activations "
                "on `data`. Look for NaN in the data and in the weights."
            )

    def add(self, value, before=None, share: float = 1.0) -> None:
        """Takes in a value that goes into the layer, or a share of a batch of it; of very many rows, a random part.

        Args:
            value: What goes in.
            before: What goes in at the same place of the other network. Optional.
            share: The share of a batch.
        """
        limit = max(1, int(share * max(FEWEST_ROWS, ROWS_PER_COLUMN * len(self._gram))))
        seed = self._rng.integers(2**32)

        def chosen(number):
            every = np.arange(number)
            return every if number <= limit else np.sort(np.random.default_rng(seed).choice(number, limit, False))

        rows, self._origin = self._from(self._origin, self._rows(value, chosen))
        self._mean += rows.sum(axis=0)
        self._gram += rows.T @ rows
        if before is not None:
            rows_before, self._origin_before = self._from(self._origin_before, self._rows(before, chosen))
            self._mean_before += rows_before.sum(axis=0)
            self._cross = self._cross + rows.T @ rows_before
        self.count += len(rows)

    def _from(self, origin, rows):
        """Returns rows as differences from an origin, which is the mean of the first ones, and the origin."""
        if not self._is_centered:
            return rows, origin
        with np.errstate(invalid="ignore"):  # infinities are told of in the end
            origin = origin if self.count else rows.mean(axis=0)
            return rows - origin, origin

    def _rows(self, value, chosen):
        return self._kind.rows(keras.ops.convert_to_numpy(value), chosen).astype(float)

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean of what is read in the other network, and in this one."""
        return self._origin_before + self._mean_before / self.count, self._origin + self._mean / self.count

    def gram(self) -> np.ndarray:
        """Returns the mean of `x x'`, without their means if these do not count, never below rounding."""
        return self._gram / self.count - self._outer(self._mean, self._mean) + self._floor()

    def cross(self) -> np.ndarray:
        """Returns the mean of `x y'`, with `y` what is read in the other network; as if some rows were the same."""
        return self._cross / self.count - self._outer(self._mean, self._mean_before) + self._floor()

    def _floor(self):
        """Returns what is more than rounding leaves of inputs that hardly vary."""
        size = len(self._gram)
        return FLOOR * np.trace(self._gram) / (size * self.count) * np.eye(size)

    def _outer(self, first, second):
        return np.outer(first, second) / self.count**2 if self._is_centered else 0.0

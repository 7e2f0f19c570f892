"""A convolution kernel as a sum of products of three vectors: of inputs, of positions and of outputs (CP)."""

import dataclasses
import math
import warnings
from collections.abc import Iterator

import numpy as np
import scipy.linalg

from keras_slim.errors import invalid_argument
from keras_slim.factorization.low_rank import RIDGE
from keras_slim.factorization.schemes import Decomposition, tried
from keras_slim.validation import import_extra

SWEEPS = 100
"""Rounds of alternating least squares at most."""
PENALTY = 1e-9
"""Penalty on the squares of factors, for a kernel of norm 1: so that equal ones do not grow against each other."""


@dataclasses.dataclass(frozen=True)
class Canonical:
    """A kernel as a sum of as many products of vectors as its rank.

    Args:
        first: Array of shape `(inputs, rank)`.
        positions: Array of shape `(*positions, rank)`.
        last: Array of shape `(rank, outputs)`.
    """

    first: np.ndarray
    positions: np.ndarray
    last: np.ndarray

    def product(self) -> np.ndarray:
        """Returns the kernel, of shape `(*positions, inputs, outputs)`."""
        return (self.positions[..., None, :] * self.first) @ self.last

    def scaled(self, scale: np.ndarray) -> "Canonical":
        """Returns the factors of the kernel whose outputs are multiplied with `scale`."""
        return dataclasses.replace(self, last=self.last * scale)


@dataclasses.dataclass(frozen=True)
class CanonicalScheme(Decomposition):
    """The CP decomposition of a convolution kernel.

    It mixes inputs, convolves each channel by itself, and mixes outputs. The methods are those of `Scheme`. All
    positions are one axis, so that there are three factors, not four as in the paper: one convolution along all axes
    takes hardly more than one along each, and fits more. The factors come from alternating least squares, which find an
    optimum nearby, not always the best; the last factor is then the best given the others, for the inputs if a Gram
    matrix says what these are. At the highest rank the product is exact.

    Needs tensorly: `pip install 'keras_slim[cp]'`.

    Reference:
        Lebedev et al. 2015, "Speeding-up convolutional neural networks using fine-tuned CP-decomposition", arXiv
        1412.6553, section 3.
    """

    name = "cp"

    def num_ranks(self) -> int:
        return 1

    def full(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        least, middle, _ = sorted(_three(shape))
        return (least * middle,)

    def within(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(map(min, ranks, self.full(shape)))

    def size(self, shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
        return ranks[0] * sum(_three(shape))

    def fit(self, kernel: np.ndarray, ranks: tuple[int, ...], gram: np.ndarray | None = None) -> Canonical:
        if not np.isfinite(kernel).all():
            raise ValueError(invalid_argument("kernel", "cp", expected="finite", received="NaN or infinities"))
        (rank,) = ranks
        num_positions, inputs, outputs = _three(kernel.shape)
        tensor = kernel.reshape(num_positions, inputs, outputs)
        if rank >= self.full(kernel.shape)[0]:
            positions, first, last = _exact(tensor)
        else:
            positions, first = _alternating(tensor, rank)
            read = (positions[:, None] * first).reshape(-1, rank)
            last = _best_last(read, kernel.reshape(-1, outputs), gram).T
        positions, first, last = _balanced(positions, first, last)
        return Canonical(first, positions.reshape(*kernel.shape[:-2], rank), last.T)

    def lost(self, kernel: np.ndarray, gram: np.ndarray | None = None) -> Iterator[tuple[tuple[int, ...], float]]:
        """Yields ranks, and the share of the response's sum of squares that is lost; up to that of no fewer numbers."""
        most = min(self.full(kernel.shape)[0], math.ceil(kernel.size / sum(_three(kernel.shape))))
        for rank in tried(most):
            yield (rank,), self.lost_at(kernel, (rank,), gram)

    def unfoldings(self, kernel: np.ndarray) -> list[np.ndarray]:
        """Returns the kernel by outputs, whose rank is at most its own."""
        return [kernel.reshape(-1, kernel.shape[-1])]


CANONICAL = CanonicalScheme()


def _three(shape):
    """Returns the lengths of the three axes: all positions, inputs, outputs."""
    *positions, inputs, outputs = shape
    return math.prod(positions), inputs, outputs


def _alternating(tensor, rank):
    """Returns the factors of positions and inputs that alternating least squares find, the same ones each time."""
    norm = np.linalg.norm(tensor)
    if not norm:
        rng = np.random.default_rng(0)  # they are of no account, but let the last factor learn
        return [rng.normal(size=(length, rank)) for length in tensor.shape[:2]]
    tensorly = import_extra("tensorly", extra="cp", feature="The scheme 'cp'")
    decomposition = import_extra("tensorly.decomposition", extra="cp", feature="The scheme 'cp'")
    with tensorly.backend_context("numpy", local_threadsafe=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Trying to compute SVD")  # more columns than that begin at random
        _, factors = decomposition.parafac(
            tensor / norm, rank, n_iter_max=SWEEPS, tol=1e-7, l2_reg=PENALTY, random_state=0
        )
    return factors[:2]


def _exact(tensor):
    """Returns factors of the tensor itself: for each pair of places along its two shorter axes, what stands there."""
    one, other, longest = np.argsort(tensor.shape, kind="stable")
    factors: list = [None] * 3
    factors[one] = np.repeat(np.eye(tensor.shape[one]), tensor.shape[other], axis=1)
    factors[other] = np.tile(np.eye(tensor.shape[other]), tensor.shape[one])
    factors[longest] = tensor.transpose(longest, one, other).reshape(tensor.shape[longest], -1)
    return factors


def _best_last(read, kernel, gram):
    """Returns the map from what the two first factors read to the outputs that comes nearest to a kernel."""
    seen = read.T if gram is None else read.T @ gram
    square = seen @ read
    ridge = (RIDGE * np.trace(square) / len(square) or 1.0) * np.eye(len(square))
    return scipy.linalg.solve(square + ridge, seen @ kernel, assume_a="pos")


def _balanced(*factors):
    """Returns factors whose columns, which belong together, are of one length in all."""
    lengths = np.stack([np.linalg.norm(factor, axis=0) for factor in factors])
    alike = np.prod(lengths, axis=0) ** (1 / len(factors))
    scales = np.where(alike > 0, alike / np.where(lengths > 0, lengths, 1.0), 1.0)
    return [factor * scale for factor, scale in zip(factors, scales, strict=True)]

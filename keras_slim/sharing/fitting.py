"""Shared values chosen for what layers put out, from input to output, not for the weights alone."""

import keras
import numpy as np

from keras_slim.graph.opening import opened
from keras_slim.lowrank.fitting import fit_in_turn
from keras_slim.lowrank.which import factorable, why_not
from keras_slim.pruning.calibration import calibration_inputs
from keras_slim.rewriting.per_layer import paths

_MOST_ROUNDS, _LEAST_GAIN = 10, 1e-2
_STEPS = 10  # of conjugate gradients


def fit_to_outputs(model, weights, found, data, steps, samples, memory, verbose, owner) -> None:
    """Changes values and codes so that layers put out most nearly what they did.

    Args:
        model: The model.
        weights: The weights that share values, by path.
        found: What each has become, `BlockValues` by path; these are changed.
        data: Inputs to look at, in any form `fit` takes.
        steps: Number of batches to look at.
        samples: Samples to look at, at most.
        memory: Bytes of activations to hold at most, in both networks.
        verbose: 0 shows nothing, 1 how far it is.
        owner: Name of the function, for error messages.
    """
    model = opened(model, owner)
    path_of = {id(weight): path for path, weight in weights.items()}
    layers = [layer for layer in paths(model) if isinstance(layer, keras.layers.Layer)]
    kinds = {layer: factorable(layer) for layer in layers if not why_not(layer)}
    kinds = {layer: kind for layer, kind in kinds.items() if kind.is_kernel and id(kind.variable) in path_of}
    seen_to = {id(kind.variable) for kind in kinds.values()}
    others = [(weight, found[path].values()) for path, weight in weights.items() if id(weight) not in seen_to]

    def fit(layer, seen):
        kind = kinds[layer]
        blocks = found[path_of[id(kind.variable)]]
        if seen is not None:
            wanted = seen.regressed(kind.kernel.reshape(kind.num_columns, -1))
            fit_blocks(blocks, seen.gram(), wanted.reshape(kind.shape))
        return [(kind.variable, blocks.values())]

    batches = calibration_inputs(data, model, steps, owner, samples)
    title = "Fitting shared values"
    fit_in_turn(model, kinds, fit, batches, memory, title, verbose, others, centered=False, depth=7)


def fit_blocks(found, gram: np.ndarray, wanted: np.ndarray) -> None:
    """Changes vectors and codes of blocks so that the outputs `X W` of a kernel are most nearly those of another one.

    Minimizes `||X (W' - W)||`, with `X` what the kernel reads. Two steps take turns, of which none makes it larger:
    each block in turn takes the vector that is best given all other blocks; then all vectors together are the least
    squares of the blocks that they have.

    Args:
        found: The `BlockValues`, which are changed.
        gram: Mean of `x x'`, of shape `(positions * inputs, positions * inputs)`.
        wanted: The other kernel.

    Reference:
        Stock et al. 2020, "And the bit goes down: revisiting the quantization of neural networks" (arXiv 1907.05686),
        section 3.2, which leaves out what other blocks have lost.
    """
    fit = _Fit(found, gram, wanted)
    before = [book.copy() for book in found.books], found.codes.copy()
    first = error = fit.error()
    for _ in range(_MOST_ROUNDS):
        last = error
        fit.choose()
        fit.solve()
        error = fit.error()
        if error > (1 - _LEAST_GAIN) * last:
            break
    dtype = before[0][0].dtype
    found.books = [book.astype(dtype) for book in fit.books]
    if not _Fit(found, gram, wanted).error() <= first:  # rounding
        found.books, found.codes = before


class _Fit:
    """Blocks on their way to those that put out most nearly what another kernel does."""

    def __init__(self, found, gram, wanted):
        cut = found.cut
        padded = cut.rows * cut.size
        self.gram = np.zeros((padded, padded))
        self.gram[: cut.width, : cut.width] = gram[np.ix_(cut.order, cut.order)]
        self.found = found
        self.size = cut.size
        self.wanted = cut(wanted).astype(float)
        self.books = [book.astype(float) for book in found.books]
        self.book_of = np.concatenate(
            [np.full(group.stop - group.start, number) for number, group in enumerate(found.groups)]
        )
        self.is_whole = found.kept.all(axis=(1, 2))
        self.losses = self._flat(self._blocks(self.books) - self.wanted)

    def error(self):
        return float(np.sum(self.losses * (self.gram @ self.losses)))

    def choose(self):
        """Gives each block the vector that is best, given all others."""
        for row in range(len(self.wanted)):
            part = slice(row * self.size, (row + 1) * self.size)
            own = self.gram[part, part]
            if not own.any():
                continue
            book, kept = self.books[self.book_of[row]], self.found.kept[row]
            wanted = self.wanted[row]
            pull = (self.gram[part] @ self.losses - own @ self.losses[part]).T - wanted @ own
            if self.is_whole[row]:
                costs = np.einsum("ki,ij,kj->k", book, own, book) + 2 * pull @ book.T
            else:
                pairs = (kept[:, :, np.newaxis] & kept[:, np.newaxis, :]).reshape(len(kept), -1).astype(float)
                squares = (own * book[:, :, np.newaxis] * book[:, np.newaxis, :]).reshape(len(book), -1)
                costs = pairs @ squares.T + 2 * (pull * kept) @ book.T
            codes, every = self.found.codes[row], np.arange(len(wanted))
            best = costs.argmin(axis=1)
            self.found.codes[row] = np.where(costs[every, best] < costs[every, codes], best, codes)
            self.losses[part] = (np.where(kept, book[self.found.codes[row]], 0) - wanted).T

    def solve(self):
        """Makes vectors the least squares, by conjugate gradients from those that they are."""
        rest = [-each for each in self._sums(self.gram @ self.losses)]
        way, square = rest, _dot(rest, rest)
        least = 1e-12 * square
        for _ in range(_STEPS):
            if square <= least:
                break
            moves = self._flat(self._blocks(way))
            response = self.gram @ moves
            curvature = float(np.sum(moves * response))
            if curvature <= 0:
                break
            step = square / curvature
            self.books = [book + step * each for book, each in zip(self.books, way, strict=True)]
            self.losses += step * moves
            rest = [old - step * each for old, each in zip(rest, self._sums(response), strict=True)]
            square, before = _dot(rest, rest), square
            way = [new + square / before * old for new, old in zip(rest, way, strict=True)]

    def _blocks(self, books):
        """Returns the blocks that have the vectors of some codebooks."""
        parts = [book[self.found.codes[group]] for group, book in zip(self.found.groups, books, strict=True)]
        return np.where(self.found.kept, np.concatenate(parts), 0)

    def _flat(self, blocks):
        """Returns blocks as a matrix of inputs and outputs."""
        return blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])

    def _sums(self, matrix):
        """Returns, for each codebook, the sum of what stands at the blocks of each vector."""
        blocks = matrix.reshape(-1, self.size, matrix.shape[1]).transpose(0, 2, 1) * self.found.kept
        return [
            np.stack([np.bincount(self.found.codes[group].ravel(), each.ravel(), len(book)) for each in place], axis=1)
            for group, book in zip(self.found.groups, self.books, strict=True)
            for place in [np.moveaxis(blocks[group], 2, 0)]
        ]


def _dot(first, second):
    return sum(float(np.sum(one * other)) for one, other in zip(first, second, strict=True))

"""What every side of the comparison shares, without a framework: batches, learning rate, sizes, and finished cells."""

import gzip
import json
import math
import pathlib
import re

import numpy as np


def batches(x, y, size, epochs, seed):
    """Yields the same batches in the same order on every side: shuffled anew each epoch, half of the images mirrored.

    Args:
        x: Images, of shape (samples, height, width, channels).
        y: Labels, of shape (samples,).
        size: Samples in a batch; what is left over at the end of an epoch is not seen in it.
        epochs: Number of times to go through the samples.
        seed: Seed of order and mirroring.

    Yields:
        `(images, labels)`.
    """
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(x))
        for first in range(0, len(x) - size + 1, size):
            chosen = order[first : first + size]
            mirrored = random.random((size, 1, 1, 1)) < 0.5
            yield np.where(mirrored, x[chosen, :, ::-1], x[chosen]), y[chosen]


def moved(given, seed, most=4):
    """Yields batches whose images are moved by up to some pixels each way, zeros coming in (He et al. 2016).

    Args:
        given: Pairs `(images, labels)`.
        seed: Seed of the moves.
        most: Pixels.
    """
    random = np.random.default_rng(seed)
    for x, y in given:
        height, width = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (most, most), (most, most), (0, 0)))
        places = random.integers(0, 2 * most + 1, (len(x), 2))
        images = [
            each[top : top + height, left : left + width] for each, (top, left) in zip(padded, places, strict=True)
        ]
        yield np.stack(images), y


def one_cycle(step, steps, peak, rising=0.25):
    """Returns a rate that rises evenly for a share of the steps, then falls to nothing (Smith & Topin 2018)."""
    up = rising * steps
    return peak * (step / up if step < up else (steps - step) / (steps - up))


def learning_rate(step, steps, peak):
    """Returns a rate that falls to nothing along a cosine (Loshchilov & Hutter 2017)."""
    return peak * (1 + math.cos(math.pi * step / steps)) / 2


def by_creation(layers):
    """Returns the layers with weights of either Keras by kind, in the order they were made, which names count."""
    made = {}
    for layer in sorted(layers, key=lambda each: int((re.search(r"_(\d+)$", each.name) or "00")[1])):
        if layer.weights:
            made.setdefault(type(layer).__name__, []).append(layer)
    return made


def multiply_accumulates(work):
    """Returns the multiply-accumulates of one sample, given pairs of output positions and weights used at each."""
    return int(sum(positions * weights for positions, weights in work))


def gzip_bytes(path):
    """Returns the size of a file after gzip."""
    return len(gzip.compress(pathlib.Path(path).read_bytes(), 9))


class Cells:
    """Finished measurements, in a file of one JSON object a line: what is there is not measured again.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder):
        self._path = pathlib.Path(folder) / "cells.jsonl"

    def read(self):
        """Returns all finished cells, dictionaries."""
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def find(self, **key):
        """Returns the finished cells with these entries."""
        return [cell for cell in self.read() if key.items() <= cell.items()]

    def forget(self):
        """Removes all cells."""
        self._path.unlink(missing_ok=True)

    def add(self, **cell):
        """Appends a finished cell."""
        with self._path.open("a") as file:
            file.write(json.dumps(cell) + "\n")
        print(cell, flush=True)

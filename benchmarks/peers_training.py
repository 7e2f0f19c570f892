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

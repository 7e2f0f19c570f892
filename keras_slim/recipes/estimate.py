"""How long the training of a recipe will take, told before it begins."""

import contextlib
import time

from keras_slim.progress_display import SILENT_SECONDS
from keras_slim.scoring.data import number_of_batches

PASSES = 3
"""Passes forward that a step of training takes as long as: forward, and twice that backward."""


class Estimate:
    """Takes the time of a pass over the samples of a metric for a measure of training.

    Args:
        steps: The steps of a recipe.
        data: What they train on.
        verbose: 0 says nothing.
    """

    def __init__(self, steps, data, verbose: int):
        self._epochs = sum(step.num_epochs for step in steps)
        self._data, self._verbose = data, verbose
        self._seconds = 0.0

    @contextlib.contextmanager
    def timed(self):
        """A context that takes the time of the pass."""
        begin = time.perf_counter()
        yield
        self._seconds = time.perf_counter() - begin

    def tell(self, samples: int) -> None:
        """Says how long training will take, if that is more than five seconds.

        Args:
            samples: Number of samples in the pass.
        """
        batches = number_of_batches(self._data) if self._epochs and samples else None
        if not batches or not self._verbose:
            return
        seconds = self._epochs * PASSES * batches * 128 * self._seconds / samples
        if seconds > SILENT_SECONDS:
            time_needed = f"{seconds / 60:.0f} min" if seconds > 100 else f"{seconds:.0f} s"
            print(f"{self._epochs} epochs of training: about {time_needed}, by the time of one pass", flush=True)

"""How long the training of a recipe will take, told before it begins."""

from keras_slim.progress_display import SILENT_SECONDS
from keras_slim.recipes.measuring import Measure
from keras_slim.scoring.data import number_of_batches

PASSES = 3
"""Passes forward that a step of training takes as long as: forward, and twice that backward."""
BATCH = 128


def tell_estimate(steps, data, measure: Measure, verbose: int) -> None:
    """Says how long the training of a recipe will take, if that is more than five seconds.

    Args:
        steps: The steps.
        data: What they train on.
        measure: What has run the model already.
        verbose: 0 says nothing.
    """
    epochs = sum(step.num_epochs for step in steps)
    batches = number_of_batches(data, BATCH) if epochs and verbose else None
    if not batches or measure.name is None:
        return
    seconds = epochs * PASSES * batches * BATCH * measure.seconds_a_sample()
    if seconds > SILENT_SECONDS:
        needed = f"{seconds / 60:.0f} min" if seconds > 100 else f"{seconds:.0f} s"
        print(
            f"{epochs} epoch{'s' * (epochs > 1)} of training: about {needed}, by the time that one batch takes forward",
            flush=True,
        )

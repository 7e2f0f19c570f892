"""In which epochs of a `fit` a callback cuts."""

import numpy as np

from keras_slim.errors import invalid_argument


def cutting_epochs(rounds, window, first, end):
    """Returns the epochs at whose beginning the cuts are made, ascending integers.

    Args:
        rounds: Number of cuts. `None` for a search: then the first and the last epoch in which it may cut.
        window: Begin and end of the part of `fit` in which they are made, as shares of its epochs.
        first: Number of the first epoch of `fit`.
        end: Number of its last epoch, plus one.

    Example:

    >>> cutting_epochs(5, (0.25, 0.75), 0, 12)
    [3, 4, 6, 8, 9]
    >>> cutting_epochs(None, (0.0, 0.75), 0, 12)
    [1, 9]
    """
    epochs = end - first
    places = np.linspace(*(min(share * epochs, epochs - 1) for share in window), rounds or 2)
    chosen = [first + round(place) for place in places.tolist()]
    if rounds is None:
        return [max(epoch, first + 1) for epoch in chosen]
    if len(set(chosen)) < rounds:
        raise ValueError(
            invalid_argument(
                "rounds",
                "ProgressiveGlobalPruning",
                expected=f"at most one round per epoch in the window {window} of the {epochs} epochs of `fit`",
                received=rounds,
                hint="Train for more epochs, widen `window`, or give fewer rounds.",
            )
        )
    return chosen

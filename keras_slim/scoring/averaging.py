"""From scores of channels to scores of units."""

import numpy as np


def mean_by_unit(num_units, channel_scores):
    """Averages the scores of all channels that belong to one unit.

    Args:
        num_units: Number of units.
        channel_scores: Iterable of pairs of arrays of equal length: the unit of each channel (negative for none),
            and the channel's score.

    Returns:
        Array of shape `(num_units,)`; zero where a unit has no channel.
    """
    total, count = np.zeros(num_units), np.zeros(num_units)
    for units, scores in channel_scores:
        real = units >= 0
        total += np.bincount(units[real], weights=np.asarray(scores, float)[real], minlength=num_units)
        count += np.bincount(units[real], minlength=num_units)
    return total / np.maximum(count, 1)

"""De-biasing by a look at what a few units are worth."""

import numpy as np

from keras_slim.scoring.debias import MeanDebias, debiasers
from keras_slim.scoring.leave_one_out import loss_rises
from keras_slim.validation import check_count


@debiasers.register("fitted")
class Fitted(MeanDebias):
    """Multiplies `s / mean(|s|)` by what the loss rises without units of the layer.

    A few units of each layer are removed, one at a time, and the loss is computed anew (`"oracle"`). They are those
    whose scores stand in the middles of as many equal parts of the layer's ranking. A layer that the loss does not
    rise without counts a thousandth of the one that it rises most without. Needs inputs and targets, and a compiled
    model.

    Args:
        samples_per_layer: Number of units of each layer to remove. The time goes with it. Defaults to 4.
    """

    needs = "targets"

    def __init__(self, samples_per_layer=4):
        self.samples_per_layer = check_count(samples_per_layer, "samples_per_layer", "Fitted")

    def factors(self, graph, scores, data=None):
        sampled = [group.first + self._spread(scores[group.units]) for group in graph.groups]
        rises = loss_rises(graph, np.concatenate([np.zeros(0, int), *sampled]), data)
        ends = np.cumsum([len(units) for units in sampled])[:-1]
        means = np.array([part.mean() for part in np.split(rises, ends)] if sampled else [])
        largest = max(means, default=0)
        return np.maximum(means, largest / 1000 if largest > 0 else 1)

    def get_config(self):
        return {"samples_per_layer": self.samples_per_layer}

    def _spread(self, scores):
        """Returns the positions of scores that stand in the middles of equal parts of their ranking."""
        count = min(self.samples_per_layer, len(scores))
        places = (np.arange(count) + 0.5) * len(scores) / count
        return np.argsort(scores, kind="stable")[places.astype(int)]

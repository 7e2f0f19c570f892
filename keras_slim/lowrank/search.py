"""The smallest network of products whose metric holds."""

import math

import keras

from keras_slim.errors import invalid_argument
from keras_slim.kernels.backends import without_gradients
from keras_slim.progress_display import progress
from keras_slim.scoring.data import first_samples, num_samples
from keras_slim.scoring.quality import Quality
from keras_slim.validation import check_choice, check_number

SAMPLES = 10_000
"""Samples that a metric is measured on, at most, the first ones."""
STEP = 0.01
"""How close the search comes to the limit, as a share of the cost."""


class Floor:
    """Says of networks whether their metric is within `max_drop` of that of a model.

    Args:
        model: The model of the user.
        read: What it is read as; both answer alike.
        max_drop: How much worse the metric may be.
        data: Samples with targets, as `fit` takes them.
        metric: As for `keras_slim.quantization_report`.
        mode: `"max"`, `"min"` or `"auto"`.
        owner: Name of the function that was given them.

    Attributes:
        before: The metric of the model.
    """

    def __init__(self, model, read, max_drop, data, metric, mode, owner):
        self.max_drop = check_number(max_drop, "max_drop", owner)
        check_choice(mode, "mode", owner, ("auto", "min", "max"))
        if data is None:
            expected, hint = "samples with targets to measure the metric on", "Give `validation_data=(x, y)`."
            raise ValueError(invalid_argument("validation_data", owner, expected=expected, received=data, hint=hint))
        if metric is None and not model.compiled:
            expected = "a metric, as the model is not compiled"
            hint = f"Compile the model, or give `{owner}` a function, as `keras.metrics.SparseCategoricalAccuracy()`."
            raise ValueError(invalid_argument("metric", owner, expected=expected, received=metric, hint=hint))
        self._quality = Quality(model, metric, owner)
        reason = "to measure the metric on"
        self._batches = first_samples(data, read, SAMPLES, owner=owner, targets=True, reason=reason)
        self.before = self.of(read)
        self.name = self._quality.name
        self._direction = self._quality.direction(mode, self.before)

    @without_gradients()
    def of(self, model) -> float:
        """Returns the metric of a model."""
        answers = [
            keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False)) for x, *_ in self._batches
        ]
        return self._quality.of(self._batches, answers)

    def holds(self, value: float) -> bool:
        """Tells whether a value of the metric is good enough."""
        return self._direction.missing(self.before, value, self.max_drop) == 0

    def to_dict(self, after: float, tries: list) -> dict:
        """Returns what is known of a search, as plain values."""
        samples = sum(num_samples(x) for x, *_ in self._batches)
        known = {"name": self.name, "before": self.before, "max_drop": self.max_drop}
        return known | {"after": after, "samples": samples, "tries": tries}


def smallest(choose, cost, least, most, carried_out, floor, verbose):
    """Returns the choice of least cost whose metric holds, as bisection finds it, and the tries.

    The metric is taken to become worse along the way down.

    Args:
        choose: Function from a cost to a choice that comes down to it.
        cost: Function from a choice to its cost.
        least: What the deepest choice costs.
        most: What the model costs.
        carried_out: Function from a choice to the network.
        floor: The `Floor`.
        verbose: 0 shows nothing.

    Returns:
        The choice, `None` if none holds, its metric, and a list of `[cost, metric, whether it holds]`.
    """
    best, value = None, floor.before
    bad, good = least, most
    known: list = []
    number = max(1, math.ceil(math.log2(max(1.0, (most - least) / (STEP * most)))))
    with progress("Looking for the smallest", "tries", verbose) as counted:
        for _ in counted(range(number)):
            amount = (bad + good) / 2
            chosen = choose(amount)
            is_held = next((each[-1] for other, each in known if other == chosen), None)
            if is_held is None:
                found = floor.of(carried_out(chosen))
                is_held = floor.holds(found)
                known.append((chosen, [cost(chosen), found, is_held]))
                if is_held:
                    best, value = chosen, found
            bad, good = (bad, amount) if is_held else (amount, good)
    return best, value, [each for _, each in known]

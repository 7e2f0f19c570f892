"""Which way a metric is better, and by how much it is worse."""

import math

import keras

from keras_slim.errors import invalid_argument

DIGITS = 6  # metrics are float32: 0.91 - 0.01 is no more than 0.9


class Direction:
    """Says by how much a value of a metric is worse than another.

    Args:
        mode: `"max"`, `"min"`, or `"auto"`, as Keras infers it.
        monitor: Name of the metric.
        model: The model that was compiled with it.
        owner: Name of the function that was given the mode, for error messages.
    """

    def __init__(self, mode, monitor, model, owner):
        mode = infer_mode(monitor, model, owner) if mode == "auto" else mode
        self._sign = 1 if mode == "max" else -1

    def drop(self, before: float, value: float) -> float:
        """Returns how much worse a value is; what is not a number is infinitely worse than what is one."""
        if math.isnan(value):
            return 0.0 if math.isnan(before) else math.inf
        return round(self._sign * (before - value), DIGITS)

    def missing(self, before: float, value: float, max_drop: float) -> float:
        """Returns by how much a value misses what it may be worse; 0 if it does not."""
        return max(0.0, round(self.drop(before, value) - max_drop, DIGITS))


def infer_mode(monitor, model, owner):
    """Returns `"max"` or `"min"`, whichever is the better direction of a metric, as Keras infers it.

    Asks a callback of Keras's which of two values it takes for the better.

    Raises:
        ValueError: If Keras cannot tell.
    """
    judge = keras.callbacks.EarlyStopping(monitor, patience=3)
    judge.set_model(model)
    judge.on_train_begin()
    try:
        for value in (0.0, 1.0):
            judge.on_epoch_end(0, {monitor: value})
    except ValueError as error:
        expected = f"'max' or 'min', since Keras cannot tell which way {monitor!r} is better"
        raise ValueError(invalid_argument("mode", owner, expected=expected, received="auto")) from error
    return "max" if judge.best == 1 else "min"

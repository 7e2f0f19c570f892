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
        way_out: As for `infer_mode`.
    """

    def __init__(self, mode, monitor, model, owner, way_out=""):
        mode = infer_mode(monitor, model, owner, way_out) if mode == "auto" else mode
        self._sign = 1 if mode == "max" else -1

    def drop(self, before: float, value: float) -> float:
        """Returns how much worse a value is; what is not a number is infinitely worse than what is one."""
        if math.isnan(value):
            return 0.0 if math.isnan(before) else math.inf
        return round(self._sign * (before - value), DIGITS)

    def missing(self, before: float, value: float, max_drop: float) -> float:
        """Returns by how much a value misses what it may be worse; 0 if it does not."""
        return max(0.0, round(self.drop(before, value) - max_drop, DIGITS))


def infer_mode(monitor, model, owner, way_out=""):
    """Returns `"max"` or `"min"`, whichever is the better direction of a metric, as Keras infers it.

    With several outputs, a metric is known by the end of its name: `"accuracy"` of `"val_classes_accuracy"`.

    Args:
        monitor: Name of the metric.
        model: The model that was compiled with it, and has measured it.
        owner: Name of the function that is to know it.
        way_out: What to do where it has no argument `mode`, a sentence.

    Raises:
        ValueError: If Keras cannot tell.
    """
    name = monitor.removeprefix("val_")
    compiled = {each.name for metric in model.metrics for each in getattr(metric, "metrics", ())}
    words = [name] if name in compiled else name.split("_")
    modes = (_mode_in_keras("_".join(words[start:]), model) for start in range(len(words)))
    if mode := next(filter(None, modes), None):
        return mode
    because = f"Keras cannot tell which way {monitor!r} is better"
    if way_out:
        expected = f"one compiled with another metric first, as {because}"
        raise ValueError(invalid_argument("model", owner, expected=expected, received=model.name, hint=way_out))
    raise ValueError(invalid_argument("mode", owner, expected=f"'max' or 'min', since {because}", received="auto"))


def _mode_in_keras(name, model):
    """Asks a callback of Keras's which of two values of a metric it takes for the better; `None` if it cannot tell."""
    judge = keras.callbacks.EarlyStopping(name, patience=3)
    judge.set_model(model)
    judge.on_train_begin()
    try:
        for value in (0.0, 1.0):
            judge.on_epoch_end(0, {name: value})
    except ValueError:
        return None
    return "max" if judge.best == 1 else "min"

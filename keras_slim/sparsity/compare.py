"""Whether a way to train is better than plain training of as many epochs: the control that belongs to every figure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.validation import check_count

DENSE = "dense"


@dataclass(frozen=True)
class SeedComparison:
    """Metrics of ways to train, one value for each seed.

    Args:
        values: Dictionary of ways to dictionaries of metrics to values, seed by seed. The control is `"dense"`.
    """

    values: dict[str, dict[str, tuple[float, ...]]]

    def gain(self, way: str, metric: str) -> tuple[float, float, float]:
        """Returns by how much a way is above the control: the mean over seeds, and its 95 % interval.

        The seeds are paired: both start from the same weights and see the same batches. The interval is Student's; with
        one seed there is none, and its ends are `nan`.
        """
        gaps = np.subtract(self.values[way][metric], self.values[DENSE][metric])
        mean, number = float(gaps.mean()), len(gaps)
        if number < 2:
            return mean, math.nan, math.nan
        reach = student_t(number - 1) * float(gaps.std(ddof=1)) / math.sqrt(number)
        return mean, mean - reach, mean + reach

    def __str__(self) -> str:
        lines = []
        for metric in self.values[DENSE]:
            for way, found in self.values.items():
                shown = f"{np.mean(found[metric]):.4f} ({min(found[metric]):.4f} to {max(found[metric]):.4f})"
                if way != DENSE:
                    shown += "; {:+.4f} ({:+.4f} to {:+.4f}) against dense".format(*self.gain(way, metric))
                lines.append(f"{metric}, {way}: {shown}")
        return "\n".join(lines)


def compare(
    build: Callable[[], keras.Model], ways: Mapping, *data, seeds: int = 3, test=None, verbose: int = 1, **fit
) -> SeedComparison:
    """Trains a model plainly and with callbacks, as many epochs, for several seeds.

    Each seed gives all ways the same weights to start with, and the same order of batches where Keras shuffles them; a
    dataset that shuffles itself goes its own way.

    Args:
        build: Function that returns a compiled model, with weights drawn anew.
        ways: Dictionary of names to functions that return a callback, or a list of them, made anew for each fit.
        *data: What `fit` is given: `x, y`, or a dataset.
        seeds: Number of seeds, from 0.
        test: What the trained models are judged by: `(x, y)` or a dataset. Defaults to `validation_data`.
        verbose: 0 says nothing, 1 one line per fit.
        **fit: Options of `fit`, `epochs` and `validation_data` among them.

    Returns:
        A `SeedComparison`; print it.

    Raises:
        ValueError: If there is nothing to judge by, or a way has the name of the control.

    Example:

    >>> import keras_slim as slim
    >>> x, y = np.random.rand(32, 4), np.random.rand(32, 1)
    >>> def build():
    ...     model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     return model
    >>> dsd = lambda: slim.callbacks.DenseSparseDense(0.5, 1, 1, 1, verbose=0)
    >>> found = compare(build, {"DSD": dsd}, x, y, epochs=3, seeds=2, test=(x, y), verbose=0)
    >>> mean, low, high = found.gain("DSD", "loss")
    """
    owner = "compare"
    check_count(seeds, "seeds", owner)
    judged = fit.get("validation_data") if test is None else test
    if judged is None:
        hint = "Give `test=(x, y)`, or `validation_data`."
        raise ValueError(invalid_argument("test", owner, expected="data to judge by", received=None, hint=hint))
    if DENSE in ways:
        expected = f"other names than that of the control, {DENSE!r}"
        raise ValueError(invalid_argument("ways", owner, expected=expected, received=list(ways)))
    values = {way: {} for way in (DENSE, *ways)}
    for seed in range(seeds):
        for way in values:
            keras.utils.set_random_seed(seed)
            model = build()
            model.fit(*data, **{"verbose": 0, **fit}, callbacks=[] if way == DENSE else ways[way]())
            x_test, y_test, weights = keras.utils.unpack_x_y_sample_weight(judged)
            options = {"batch_size": fit.get("batch_size"), "verbose": 0, "return_dict": True}
            found = model.evaluate(x_test, y_test, sample_weight=weights, **options)
            found = {metric: float(np.mean(value)) for metric, value in found.items()}
            for metric, value in found.items():
                values[way].setdefault(metric, []).append(value)
            if verbose:
                shown = ", ".join(f"{metric} {value:.4f}" for metric, value in found.items())
                print(f"seed {seed}, {way}: {shown}")
    return SeedComparison({way: {name: tuple(each) for name, each in found.items()} for way, found in values.items()})


def student_t(degrees: int) -> float:
    """Returns the 97.5 % quantile of Student's t distribution.

    Example:

    >>> round(student_t(2), 3), round(student_t(9), 3)
    (4.303, 2.262)
    """
    angles = np.linspace(0, np.pi / 2, 200_001)  # t = sqrt(n) tan(angle); its density is cos(angle)^(n - 1)
    density = np.cos(angles) ** (degrees - 1)
    share = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(degrees) * math.tan(float(np.interp(0.95, share / share[-1], angles)))

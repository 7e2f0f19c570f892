"""How good the answers of a model are, by the measure that it was compiled with or a function."""

import contextlib
import inspect
import math

import keras
import numpy as np

from keras_slim.errors import did_you_mean, invalid_argument
from keras_slim.scoring.data import num_samples
from keras_slim.scoring.direction import Direction
from keras_slim.scoring.losses import loss_function


class Quality:
    """Measures answers that may come from a copy of a model: with its metrics and loss, or with a function.

    The state of its metrics is as it was afterwards.

    Args:
        model: The model.
        metric: Name of a metric of the compiled model, or `"loss"`, which is without the penalties on weights; a
            function `(y, answers)` of arrays with all samples that returns a number, such as a metric of Keras. By
            default the first metric, or the loss if there is none, or nothing if it is not compiled.
        owner: Name of the function that was given it, for error messages.

    Attributes:
        name: Name of the metric; `None` where nothing is measured, and before the first measurement.
    """

    def __init__(self, model, metric, owner):
        if metric is not None and not isinstance(metric, str) and not callable(metric):
            expected = "the name of a metric, or a function of `(y, answers)`"
            raise TypeError(invalid_argument("metric", owner, expected=expected, received=metric))
        if isinstance(metric, str) and not model.compiled:
            expected = "a function of `(y, answers)`, as the model is not compiled"
            hint = "Or call `model.compile(...)` first, which training that was loaded does not need."
            raise ValueError(invalid_argument("metric", owner, expected=expected, received=metric, hint=hint))
        self._model, self._metric, self._owner = model, metric, owner
        self._has_loss = model.compiled and (model.loss is not None or not _is_of_keras(model))
        self.name = None

    def of(self, batches, answers) -> float:
        """Returns the metric of some answers.

        Args:
            batches: A list of batches `(x, y, sample_weight)`.
            answers: A list with the answers to each, in the structure of the model's.

        Raises:
            ValueError: If the metric does not take them, or is none of the model's.
        """
        if callable(self._metric):
            return self._by_function([y for _, y, _ in batches], answers)
        results = self._results(batches, answers)
        known = list(results)
        others = [name for name in known if name != "loss" and not name.endswith("_loss")]
        self.name = self._metric or next(iter([*others, *(["loss"] if self._has_loss else known)]), None)
        if self.name not in results:
            expected = f"one of {known}, what the model was compiled with"
            hint = did_you_mean(self._metric, known)
            raise ValueError(
                invalid_argument("metric", self._owner, expected=expected, received=self._metric, hint=hint)
            )
        return results[self.name]

    def direction(self, mode: str, before: float, way_out: str = "") -> Direction:
        """Returns which way the metric is better, once it has been measured.

        Args:
            mode: `"max"`, `"min"` or `"auto"`, as Keras infers it.
            before: The metric that others are held against.
            way_out: As for `keras_slim.scoring.direction.infer_mode`.

        Raises:
            ValueError: If that is no finite number, or Keras cannot tell.
        """
        if not math.isfinite(before):
            raise ValueError(
                f"`{self._owner}` cannot hold {self.name!r} within `max_drop`: it is {before} for model "
                f"'{self._model.name}' itself. Expected a finite number. Look for NaN in the targets and the weights."
            )
        is_metric = isinstance(self._metric, keras.metrics.Metric)
        model = _compiled_with(self._metric) if is_metric and mode == "auto" else self._model
        return Direction(mode, self.name, model, self._owner, way_out)

    def _by_function(self, targets, answers):
        self.name = getattr(self._metric, "name", None) or getattr(self._metric, "__name__", "metric")
        if isinstance(self._metric, keras.metrics.Metric):
            self._metric.reset_state()
        y, answers = (
            keras.tree.map_structure(lambda *parts: np.concatenate(parts), *each) for each in (targets, answers)
        )
        value = np.asarray(keras.ops.convert_to_numpy(self._metric(y, answers)))
        if value.size != 1:
            expected = "a function of `(y, answers)` that returns one number"
            received = f"one that returns an array of shape {value.shape}"
            raise ValueError(invalid_argument("metric", self._owner, expected=expected, received=received))
        return float(value)

    def _results(self, batches, answers):
        loss = loss_function(self._model) if self._has_loss else None
        total = count = 0
        results = {}
        with _metrics_kept(self._model):
            for (x, y, sample_weight), predicted in zip(batches, answers, strict=True):
                predicted = keras.tree.map_structure(keras.ops.convert_to_tensor, predicted)
                if loss:
                    size = num_samples(x)
                    total += size * float(loss(x, y, predicted, sample_weight))
                    count += size
                results = self._model.compute_metrics(x, y, predicted, sample_weight)
            results = {name: keras.ops.convert_to_numpy(value) for name, value in results.items()}
        found = {name: float(value) for name, value in results.items() if name != "loss" and np.ndim(value) == 0}
        return {**found, **({"loss": total / count} if loss else {})}


def _is_of_keras(model):
    return inspect.unwrap(type(model).compute_loss) is keras.Model.compute_loss


def _compiled_with(metric):
    """Returns a model of which Keras knows that it was compiled with a metric."""
    model = keras.Sequential()
    model.compile(metrics=[metric])
    with contextlib.suppress(Exception):  # Keras knows a metric from its first data on, whether or not they fit
        model.compute_metrics(None, np.zeros((1, 1)), np.zeros((1, 1)))
    return model


@contextlib.contextmanager
def _metrics_kept(model):
    """A context in which the metrics of a model begin anew, and after which they are as they were."""
    before = [(variable, keras.ops.convert_to_numpy(variable)) for variable in model.metrics_variables]
    model.reset_metrics()
    try:
        yield
    finally:
        model.reset_metrics()
        for variable, value in before:
            variable.assign(value)

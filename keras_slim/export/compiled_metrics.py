"""Keras's metrics over answers that come from anywhere, given as `compile(metrics=...)` takes them."""

import keras

from keras_slim.errors import in_short, invalid_argument

_CHOSEN_BY_SHAPE = ("accuracy", "acc")


class CompiledMetrics:
    """Metrics that add up over batches.

    A model that hands on what it is given is compiled with them, so that names, lists and dictionaries mean what they
    mean in `compile`.

    Args:
        metrics: As for `compile`, or a single one.
        names: Names of the outputs, in order.
        owner: Name of the function that was given the metrics.
    """

    def __init__(self, metrics, names, owner):
        self._metrics = metrics if isinstance(metrics, list | tuple | dict) else [metrics]
        self._names, self._owner = list(names), owner
        answers = [keras.Input((1,)) for _ in names]
        handed_on = [keras.layers.Identity(name=name)(each) for name, each in zip(names, answers, strict=True)]
        self._model = keras.Model(answers, handed_on)
        self._model.compile(metrics=self._metrics)

    def add(self, targets, answers, sample_weight=None):
        """Takes a batch of targets and answers, in the structures that `fit` would have them."""
        try:
            self._model.compute_metrics(None, targets, answers, sample_weight)
        except Exception as error:
            shapes = [tuple(answer.shape) for answer in keras.tree.flatten(answers)]
            hint = f"Keras said: {in_short(error)}."
            expected = f"metrics, as for `compile`, that fit the targets and answers of shape {shapes}"
            if len(self._names) > 1:
                expected += f", one for each of {self._names} in a list, or in a dictionary by these names"
            raise ValueError(
                invalid_argument("metrics", self._owner, expected=expected, received=self._metrics, hint=hint)
            ) from error

    def result(self) -> dict:
        """Returns the metrics by name: a float, or a list of floats where a metric has several."""
        found = self._model.get_metrics_result()
        found.pop("loss")  # there is none
        return {name: keras.ops.convert_to_numpy(value).tolist() for name, value in found.items()}


def check_metrics(metrics, owner):
    """Returns metrics, or raises `ValueError` if one of them is none, before any work is done."""
    for metric in keras.tree.flatten(metrics):
        if metric is None or str(metric).lower() in _CHOSEN_BY_SHAPE:
            continue
        try:
            keras.metrics.get(metric)
        except ValueError as error:
            hint = "Names are those of `keras.metrics`, such as 'accuracy' or 'mae'."
            expected = "metrics as `compile` takes them"
            raise ValueError(
                invalid_argument("metrics", owner, expected=expected, received=metric, hint=hint)
            ) from error
    return metrics


def made_anew(metrics, owner):
    """Returns the same metrics with states of their own."""
    return keras.tree.map_structure(lambda metric: _made_anew(metric, owner), metrics)


def _made_anew(metric, owner):
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    try:
        return type(metric).from_config(metric.get_config())
    except Exception as error:
        hint = f"Define the `get_config` of {type(metric).__name__}, or leave `model` out. {in_short(error)}."
        expected = "metrics that can be made anew from their config, as the model's answers need their own"
        raise ValueError(invalid_argument("metrics", owner, expected=expected, received=metric, hint=hint)) from error

"""What a model costs and how good it is, before the recipe and after each step."""

import dataclasses
import math
import time

import keras
import numpy as np

from keras_slim.compression.loading import load_compressed
from keras_slim.errors import invalid_argument
from keras_slim.export.signature import read_signature
from keras_slim.export.tflite_file import TfliteFile, match_names
from keras_slim.export.verification import file_answers, names_of
from keras_slim.graph.endpoints import endpoints
from keras_slim.kernels.backends import without_gradients
from keras_slim.profiling import profile
from keras_slim.progress_display import progress
from keras_slim.scoring.data import first_samples, flat_inputs, num_samples
from keras_slim.scoring.quality import Quality

SAMPLES = 10_000
"""Samples that a metric is measured on, at most, the first ones."""


@dataclasses.dataclass(frozen=True)
class ModelCost:
    """What a model costs, or the file of one.

    Args:
        parameters: Number of its weights.
        nonzero: Number of those that are not zero.
        macs: Multiply-accumulates of one sample; `None` where the inputs have dimensions of unknown size.
        bytes: Bytes of the weights, rounded ones in the bits of their quantizer; of a file, its size.
    """

    parameters: int
    nonzero: int
    macs: int | None
    bytes: int


def cost_of(model: keras.Model) -> ModelCost:
    """Returns what a model costs."""
    parameters = sum(math.prod(weight.shape) for weight in model.weights)
    nonzero = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(weight))) for weight in model.weights)
    try:
        found = profile(model)
    except ValueError:  # dimensions of unknown size
        return ModelCost(parameters, nonzero, None, 4 * parameters)
    return ModelCost(parameters, nonzero, found.macs, math.ceil(found.bits / 8))


class Measure:
    """Measures a metric of models and of their files, on the same samples.

    Args:
        reference: The model before the recipe.
        data: Samples with targets, as `fit` takes them; `None` if nothing is to be measured.
        metric: As for `Recipe`.
        mode: As for `Recipe`.
        max_drop: As for `Recipe`.
        owner: Name of the recipe, for error messages.
        verbose: As for `Recipe.apply`.

    Attributes:
        name: Name of the metric; `None` where none is measured.
        before: The metric of the model before the recipe.
        max_drop: How much worse it may become.
    """

    def __init__(self, reference, data, metric, mode, max_drop, owner, verbose):
        self._reference, self._verbose = reference, verbose
        self.max_drop = max_drop
        self._batches = []
        self.name = self.before = None
        if isinstance(metric, str) and not reference.compiled:
            reference.compile(metrics=[metric])
        if data is None or (metric is None and not _is_measured(reference)):
            if max_drop is not None or metric is not None:
                raise ValueError(_nothing_to_measure(data, metric, max_drop, owner))
            return
        reason = "to measure the metric on"
        needs_targets = metric is not None or max_drop is not None
        batches = first_samples(data, reference, SAMPLES, owner=owner, targets=needs_targets, reason=reason)
        if all(y is not None for _, y, _ in batches):
            self._batches = batches
            self._quality = Quality(reference, metric, owner)
            self.before = self._quality.of(self._batches, self._answers(reference))
            self.name = self._quality.name
            if max_drop is not None:
                self._direction = self._quality.direction(mode, self.before)

    def seconds_a_sample(self) -> float:
        """Returns how long the model before the recipe takes for a sample, by one batch that it has seen before."""
        x, *_ = self._batches[0]
        begin = time.perf_counter()
        self._reference(x, training=False)
        return (time.perf_counter() - begin) / num_samples(x)

    def of(self, model: keras.Model, path: str | None = None) -> float | None:
        """Returns the metric of a model, or of its file; `None` where nothing is measured."""
        if self.name is None:
            return None
        if path is None:
            return self._quality.of(self._batches, self._answers(model))
        if not path.endswith(".tflite"):
            return self._quality.of(self._batches, self._answers(load_compressed(path)))
        return self._quality.of(self._batches, self._answers_of_file(model, path))

    def drop(self, value: float, since: float | None = None) -> float:
        """Returns how much worse a value of the metric is than that of the model before, or than another one."""
        return self._direction.drop(self.before if since is None else since, value)

    def missing(self, value: float) -> float:
        """Returns by how much a value of the metric misses what it is allowed to lose; 0 if it does not."""
        return 0.0 if self.max_drop is None else self._direction.missing(self.before, value, self.max_drop)

    @without_gradients()
    def _answers(self, model):
        with progress("Metric", "batches", self._verbose) as counted:
            return [
                keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))
                for x, *_ in counted(self._batches)
            ]

    def _answers_of_file(self, model, path):
        names = [each.name for each in read_signature(model, "Recipe").inputs]
        structure, file = endpoints(model)[1], TfliteFile(path)
        answers = []
        with progress("Metric of the file", "batches", self._verbose) as counted:
            for x, *_ in counted(self._batches):
                arrays = map(keras.ops.convert_to_numpy, flat_inputs(model, x))
                received = file_answers(file, dict(zip(names, arrays, strict=True)))
                theirs = match_names(names_of(structure), list(received))
                flat = [received[theirs[name]] for name in names_of(structure)]
                answers.append(keras.tree.pack_sequence_as(structure, flat))
        return answers


def _is_measured(model):
    """Tells whether a model is compiled with a loss or a metric; the mean of its losses is always there."""
    return model.compiled and (model.loss is not None or len(model.metrics) > 1)


def _nothing_to_measure(data, metric, max_drop, owner):
    if data is None:
        name, received = ("max_drop", max_drop) if max_drop is not None else ("metric", metric)
        return invalid_argument(
            name,
            owner,
            expected="data with targets to measure the metric on",
            received=received,
            hint="Give `validation_data=(x, y)`, samples that nothing is trained on.",
        )
    return invalid_argument(
        "metric",
        owner,
        expected="a metric, as the model is not compiled",
        received=metric,
        hint="Compile the model, or name one of Keras's in the recipe, such as `metric: accuracy`.",
    )

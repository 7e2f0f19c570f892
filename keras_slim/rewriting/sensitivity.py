"""Where accuracy is lost: each layer alone rounded, and each alone left real."""

import dataclasses
from typing import Any

import keras

from keras_slim.errors import invalid_argument, one_of
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import operations
from keras_slim.graph.opening import readable
from keras_slim.layers.quant_twins import QUANTIZED
from keras_slim.progress_display import progress
from keras_slim.rewriting.calibration import check_ranges, learn_ranges, rounding_layers
from keras_slim.rewriting.quantization import quantize
from keras_slim.rewriting.switches import Switches, signal_to_noise
from keras_slim.scoring.data import first_samples, num_samples
from keras_slim.scoring.quality import Quality
from keras_slim.validation import check_count

SAMPLES = 1000
OWNER = "quantization_report"


@dataclasses.dataclass(frozen=True)
class Measured:
    """How good a model is while some of its layers round.

    Args:
        metric: The metric; `None` where none is measured.
        sqnr_db: Signal-to-noise ratio of the answers against those of the model with real numbers, of the worst output,
            in decibels, between -150 and 150: 20 more is a tenth of the error.
    """

    metric: float | None
    sqnr_db: float


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """What the rounding of one layer costs.

    Args:
        path: Its name, after those of the models around it: `"encoder/dense"`.
        kind: Name of its type.
        own_db: Signal-to-noise ratio of its own outputs when its inputs are those of the real model, in decibels.
        alone: The model when this layer alone rounds.
        others: The model when all layers but this one round.
    """

    path: str
    kind: str
    own_db: float
    alone: Measured
    others: Measured


@dataclasses.dataclass(frozen=True)
class QuantizationReport:
    """Where accuracy is lost; as text, a table.

    Args:
        name: Name of the model.
        metric: Name of the metric; `None` where none is measured.
        samples: How many samples it was measured on.
        real: The metric when nothing rounds; `None` where none is measured.
        quantized: The model when all layers round.
        layers: One `LayerSensitivity` for each layer that rounds or is followed by a range, that which brings the most
            noise into the answers first.
    """

    name: str
    metric: str | None
    samples: int
    real: float | None
    quantized: Measured
    layers: tuple[LayerSensitivity, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as plain values that JSON can hold."""
        return dataclasses.asdict(self)

    def __str__(self):
        measured = f"{self.metric} {_number(self.real)} real, {_number(self.quantized.metric)} rounded, "
        title = f"Model '{self.name}', {self.samples} samples: {measured if self.metric else ''}"
        two = [self.metric, "dB"] if self.metric else ["dB"]
        rows = [
            ["", "", "", "only it", *[""] * (len(two) - 1), "all but it", *[""] * (len(two) - 1)],
            ["layer", "type", "own dB", *two, *two],
        ]
        for layer in self.layers:
            cells = [*self._cells(layer.alone), *self._cells(layer.others)]
            rows.append([layer.path, layer.kind, f"{layer.own_db:.1f}", *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([f"{title}{self.quantized.sqnr_db:.1f} dB", *(_line(row, widths) for row in rows)])

    def _cells(self, measured):
        decibels = f"{measured.sqnr_db:.1f}"
        return [_number(measured.metric), decibels] if self.metric else [decibels]


def _number(value):
    return "" if value is None else f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def _line(row, widths):
    """Returns cells side by side: two of words, then numbers."""
    words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    return "  ".join([*words, *(cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))]).rstrip()


def quantization_report(
    model: keras.Model,
    data,
    metric=None,
    kernel: Any = "int",
    activations: Any = "int",
    samples: int = SAMPLES,
    verbose: int = 1,
) -> QuantizationReport:
    """Tells where a model loses accuracy when it is rounded: layer by layer.

    For each layer: how good the model is when this layer alone rounds its inputs and weights, and when it alone does
    not. A range behind a layer counts as part of it. Nothing is trained: the model is quantized as by
    `slim.quantize(model, kernel, activations, skip=())`, with ranges as by `slim.calibrate`. A model that rounds
    already is looked at as it is, with the ranges it has learned. It takes as long as the model takes for twice as many
    passes over the samples as it has layers.

    Print it for a table; `slim.reports.plot_quantization` draws it.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.
        data: Samples with targets as `fit` takes them: `(x, y)`, or a `tf.data.Dataset`, `keras.utils.PyDataset` or
            generator of batches. Inputs alone will do: then the noise in the answers is measured, and no metric.
        metric: Name of a metric of the compiled model, or `"loss"`, which is without the penalties on weights; a
            function `(y, answers)` of arrays that returns a number, such as a metric of Keras. By default the first
            metric the model was compiled with, or its loss; none if it is not compiled.
        kernel: As for `slim.quantize`.
        activations: As for `slim.quantize`.
        samples: How many samples are taken at most, the first ones.
        verbose: 0 shows no progress, which comes after five seconds.

    Returns:
        A `QuantizationReport`.

    Raises:
        TypeError: If the model is no Keras model, the data is nothing that `fit` takes, or another argument is wrong.
        ValueError: If no layer of the model can round; if data is missing, does not fit, or has no targets for a metric
            that was asked for; if there is no such metric or quantizer; if the model is not built.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied
            or fails on the data.

    Example:

    >>> import keras, numpy as np, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, name="head")])
    >>> report = slim.quantization_report(model, np.random.default_rng(0).normal(size=(100, 4)))
    >>> report.quantized.sqnr_db > 20, sorted(layer.kind for layer in report.layers)
    (True, ['Dense', 'Dense'])
    """
    check_count(samples, "samples", OWNER)
    read = readable(model, OWNER)
    quality = Quality(model, metric, OWNER)
    batches = first_samples(data, read, samples, owner=OWNER, targets=metric is not None, reason="to measure on")
    measured = quality if _can_measure(model, metric, batches) else None
    switches = switches_of(read, kernel, activations, batches, OWNER)
    return _Looking(switches, batches, measured).report(model.name, verbose)


def switches_of(model, kernel, activations, batches, owner) -> Switches:
    """Returns a copy of a model with ranges from batches, of which each layer can be switched to round or not.

    Args:
        model: A Functional or built Sequential model.
        kernel: As for `quantize`.
        activations: As for `quantize`.
        batches: A list of batches `(x, y, sample_weight)`.
        owner: Name of the function that was given the model.
    """
    if rounding_layers(model):
        return Switches(copy_replacing(model, lambda operation, changes: None))
    if not any(type(operation) in QUANTIZED for operation in operations(model)):
        expected = f"a model with a layer that can round, {one_of([each.__name__ for each in QUANTIZED])}"
        raise ValueError(invalid_argument("model", owner, expected=expected, received=f"'{model.name}' without"))
    twin = quantize(model, kernel, activations, skip=())
    learn_ranges(twin, batches)
    check_ranges(twin, owner)
    return Switches(twin, model)


def _can_measure(model, metric, batches):
    has_targets = all(y is not None for _, y, _ in batches)
    has_loss = model.compiled and (model.loss is not None or len(model.metrics) > 1)
    return metric is not None or (has_targets and has_loss)


class _Looking:
    """Measures a model with one set of layers rounding after the other."""

    def __init__(self, switches, batches, quality):
        self._switches, self._batches, self._quality = switches, batches, quality
        self._real = switches.answers(batches, ())

    def report(self, name, verbose):
        everything = list(self._switches.parts)
        samples = sum(num_samples(x) for x, *_ in self._batches)
        real = self._quality and self._quality.of(self._batches, self._real)
        with progress("Quantization report", "passes", verbose) as counted:
            sets = [everything, *([path] for path in everything)]
            sets += [[each for each in everything if each != path] for path in everything]
            whole, *each = [self._measured(rounding) for rounding in counted(sets)]
        own = self._switches.own_noise(self._batches)
        rows = [
            LayerSensitivity(path, self._switches.kind(path), own[path], alone, others)
            for path, alone, others in zip(everything, each[: len(own)], each[len(own) :], strict=True)
        ]
        rows.sort(key=lambda row: row.alone.sqnr_db)  # a metric of few samples hardly tells layers apart
        metric = self._quality and self._quality.name
        return QuantizationReport(name, metric, samples, real, whole, tuple(rows))

    def _measured(self, rounding):
        answers = self._switches.answers(self._batches, rounding)
        metric = self._quality and self._quality.of(self._batches, answers)
        return Measured(metric, signal_to_noise(self._real, answers))

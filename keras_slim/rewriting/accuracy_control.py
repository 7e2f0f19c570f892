"""Rounding as many layers as a metric allows: the worst are left real."""

from typing import Any

import keras

from keras_slim.errors import UnreachableTargetError, invalid_argument
from keras_slim.graph.opening import readable
from keras_slim.progress_display import progress
from keras_slim.rewriting.calibration import learn_ranges, rounding_layers
from keras_slim.rewriting.per_layer import by_layer
from keras_slim.rewriting.quantization import quantize
from keras_slim.rewriting.sensitivity import SAMPLES, switches_of
from keras_slim.rewriting.switches import Switches, signal_to_noise
from keras_slim.scoring.data import first_samples
from keras_slim.scoring.quality import Quality
from keras_slim.validation import check_choice, check_count, check_number

OWNER = "quantize_within"


def quantize_within(
    model: keras.Model,
    data,
    max_drop: float,
    metric=None,
    mode: str = "auto",
    kernel: Any = "int",
    activations: Any = "int",
    samples: int = SAMPLES,
    verbose: int = 1,
) -> keras.Model:
    """Returns a copy of a model that rounds all layers but those that cost too much.

    For those who do not train: the layers that bring the most noise into the answers, by the order of
    `slim.quantization_report`, stay real one after the other, until the metric is within `max_drop` of that of the
    model. `keras_slim.rewriting.describe` tells which did. Ranges are those of the data, as by `slim.calibrate`.

    Args:
        model: A Functional, built Sequential or subclassed model, that rounds nothing yet. It is not changed.
        data: Samples with targets as `fit` takes them: `(x, y)`, or a `tf.data.Dataset`, `keras.utils.PyDataset` or
            generator of batches. Not those of the test: the choice would be made on them.
        max_drop: How much worse than that of the model the metric may be: 0.01 is a point of accuracy.
        metric: As for `slim.quantization_report`.
        mode: `"max"` or `"min"`, the better direction of the metric. Defaults to `"auto"`, as Keras infers it.
        kernel: As for `slim.quantize`.
        activations: As for `slim.quantize`.
        samples: How many samples are taken at most, the first ones: the metric holds on these.
        verbose: 0 for silence; 1 for progress, where it takes more than five seconds, and a line at the end that names
            the layers that are left real.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        TypeError: If the model is no Keras model, the data is nothing that `fit` takes, or another argument is wrong.
        ValueError: If no layer of the model can round, or one does already; if data or targets are missing or do not
            fit; if there is no such metric or quantizer, or no way to tell which way it is better, or it is no finite
            number for the model; if the model is not built, or not compiled and no function is given for `metric`.
        UnreachableTargetError: If the metric does not hold before all layers are real.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied
            or fails on the data.
    """
    twin, _ = within(model, data, max_drop, metric, mode, kernel, activations, samples, verbose, OWNER)
    return twin


def within(model, data, max_drop, metric, mode, kernel, activations, samples, verbose, owner, way_out=""):
    """Returns what `quantize_within` does, and the paths of the layers that are left real; for another one to call.

    What to do where that one has no argument `mode` is said by `way_out`, a sentence.
    """
    check_number(max_drop, "max_drop", owner)
    check_choice(mode, "mode", owner, ("auto", "min", "max"))
    check_count(samples, "samples", owner)
    read = readable(model, owner)
    quality = Quality(model, metric, owner)
    if metric is None and not model.compiled:
        hint = (
            "Compile the model, or give `quantize_within` a function, as `keras.metrics.SparseCategoricalAccuracy()`."
        )
        expected = "a metric, as the model is not compiled"
        raise ValueError(invalid_argument("metric", owner, expected=expected, received=metric, hint=hint))
    if rounding_layers(read):
        expected = "a model that rounds nothing yet"
        hint = "`slim.dequantize` brings it back."
        raise ValueError(invalid_argument("model", owner, expected=expected, received=f"'{model.name}'", hint=hint))
    batches = first_samples(data, read, samples, owner=owner, targets=True, reason="to measure the metric on")
    switches = switches_of(read, kernel, activations, batches, owner)
    control = _Control(switches, batches, quality, max_drop, owner)
    control.infer(mode, way_out)
    twin, left, value = control.search(lambda names: _without(read, names, kernel, activations, batches), verbose)
    if verbose:
        print(control.describe(left, value))
    return twin, tuple(left)


def _without(model, names, kernel, activations, batches):
    """Returns a copy of a model that rounds all but some layers, with ranges."""
    twin = quantize(model, _but(kernel, names), _but(activations, names), skip=())
    learn_ranges(twin, batches)
    return twin


def _but(option, names):
    return {**by_layer(option), **dict.fromkeys(names)}


class _Control:
    """Leaves the worst layers real until the metric holds."""

    def __init__(self, switches, batches, quality, max_drop, owner):
        self._owner = owner
        self._switches, self._batches, self._quality, self._max_drop = switches, batches, quality, max_drop
        self._everything = list(switches.parts)
        self._answers = switches.answers(batches, ())
        self._real = quality.of(batches, self._answers)
        self._whole = self._with(())

    def infer(self, mode, way_out):
        """Takes which way the metric is better."""
        self._direction = self._quality.direction(mode, self._real, way_out)

    def search(self, build, verbose):
        """Returns a model that holds the metric, what is left real in it, and the metric.

        Args:
            build: Function from the paths that are left real to the model.
            verbose: 0 shows no progress.
        """
        if self._holds(self._whole):
            return self._all_rounding(), [], self._whole
        with progress("Layers left real", "tries", verbose) as counted:
            order = self._worst_first(counted)
            for number in counted(range(1, len(order))):
                left = order[:number]
                if self._holds(self._with(left)):
                    twin = build(left)
                    value = self._quality.of(self._batches, _answers(twin, self._batches))
                    if self._holds(value):
                        return twin, left, value
        raise UnreachableTargetError(
            f"`{self._owner}` cannot keep {self._quality.name} of model '{self._switches.model.name}' within "
            f"max_drop={self._max_drop:g}: it is {self._real:.4g} with real numbers and {self._whole:.4g} with all "
            "layers rounded, and does not hold while one of them rounds. Expected a larger `max_drop` or more bits; "
            "or train the model that `slim.quantize` returns."
        )

    def _all_rounding(self):
        self._switches.round_only(self._everything)
        return self._switches.model

    def _worst_first(self, counted):
        noise = {
            path: signal_to_noise(self._answers, self._switches.answers(self._batches, [path]))
            for path in counted(self._everything)
        }
        return sorted(noise, key=noise.get)

    def _with(self, left):
        rounding = [path for path in self._everything if path not in left]
        return self._quality.of(self._batches, self._switches.answers(self._batches, rounding))

    def _holds(self, value):
        return self._direction.missing(self._real, value, self._max_drop) == 0

    def describe(self, left, value):
        """Returns in words which layers are left real, and what for."""
        name = self._quality.name
        if not left:
            return f"All layers round: {name} {value:.4g} of {self._real:.4g}."
        names = ", ".join(f"'{each}'" for each in left)
        rest = f"{self._real:.4g}; {self._whole:.4g} with all layers rounded"
        return f"Left real, {len(left)} of {len(self._everything)}: {names}. {name} is {value:.4g} of {rest}."


def _answers(twin, batches):
    switches = Switches(twin)
    return switches.answers(batches, switches.parts)

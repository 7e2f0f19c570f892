"""Few bits for weights and activations."""

import dataclasses
import math
from typing import Any

import keras

from keras_slim.callbacks.quantization_aware_training import QuantizationAwareTraining
from keras_slim.errors import invalid_argument
from keras_slim.layers.quant_twins import QUANTIZED
from keras_slim.quantizers import Int
from keras_slim.recipes.base import State, steps
from keras_slim.recipes.place import is_within
from keras_slim.recipes.training import Training
from keras_slim.rewriting.calibration import calibrate
from keras_slim.rewriting.per_layer import paths
from keras_slim.rewriting.quantization import quantize
from keras_slim.rewriting.sensitivity import quantization_report
from keras_slim.validation import check_share


@steps.register("quantize")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantize(Training):
    """Rounds weights and activations to few bits.

    Without `epochs` it is `keras_slim.quantize` and `keras_slim.calibrate`, which takes ranges from the data; with them
    a `keras_slim.callbacks.QuantizationAwareTraining` in a `fit`. By layer, `bits` and `activations` may differ.

    Args:
        bits: Bits of the weights, 2 to 8, or the name of a quantizer, such as `"ternary"`.
        activations: Quantizer of what goes into these layers: `"int"`, `"learned_step"`, `"sign"`, or `None`.
        skip: What stays real, as for `keras_slim.quantize`.
        left_real: Share of the layers that stay real beside, those whose rounding brings the most noise into the
            answers, by `keras_slim.quantization_report`.
        begin: Epoch from which on weights are rounded.
        delay: Epochs from then on in which activations are not rounded yet.
    """

    bits: int | str = 8
    activations: str | None = "int"
    skip: tuple[str, ...] | list[str] = ()
    left_real: float = 0.0
    begin: int = 0
    delay: int = 0

    by_layer = ("bits", "activations")
    spares_small = True

    def __post_init__(self):
        super().__post_init__()
        check_share(self.left_real, "left_real", "step `quantize`", zero=True)
        self._callback(self.bits, self.activations)
        if self.epochs and self.begin + self.delay >= self.epochs:
            expected, owner = f"begin + delay below epochs={self.epochs}", "step `quantize`"
            raise ValueError(invalid_argument("begin", owner, expected=expected, received=self.begin + self.delay))

    @property
    def needs(self):
        return "targets" if self.epochs else "inputs" if self.activations or self.left_real else "nothing"

    def weaker(self, strength):
        return dataclasses.replace(self, left_real=1 - strength * (1 - self.left_real)) if strength else None

    def _callback(self, bits, activations):
        options = {"skip": self.skip, "begin": self.begin, "delay": self.delay}
        return QuantizationAwareTraining(bits, activations, verbose=0, **options)

    def run(self, state, place):
        own = place.options.items()
        left = stays_real(state.model, place.untouched)
        bits = {path: each["bits"] for path, each in own if "bits" in each}
        inputs = {path: each["activations"] for path, each in own if "activations" in each}
        bits = {keras.layers.Layer: self.bits, **bits, **left}
        inputs = {keras.layers.Layer: self.activations, **inputs, **left}
        real = (
            worst_layers(state.model, place.samples, self.left_real, _kernels(bits), inputs) if self.left_real else ()
        )
        bits, inputs = bits | dict.fromkeys(real), inputs | dict.fromkeys(real)
        notes = left_real_note(real)
        if self.epochs:
            return State(self.fit(state, place, self._callback(bits, inputs)), state.holding, notes)
        model = quantize(state.model, _kernels(bits), inputs, self.skip)
        if place.data is not None:
            model = calibrate(model, place.samples)
        return State(model, state.holding, notes)


def _kernels(bits: dict) -> dict[Any, Any]:
    """Returns the quantizers that numbers of bits stand for."""
    return {key: Int(each) if isinstance(each, int) else each for key, each in bits.items()}


def stays_real(model: keras.Model, names) -> dict[str, None]:
    """Returns settings by which layers are not rounded: those of some paths that have weights to round.

    Of others, such as normalizations, only what they give is rounded, by a layer behind them. A phone computes with it.
    """
    layers = {path: layer for layer, path in paths(model).items() if isinstance(layer, tuple(QUANTIZED))}
    return dict.fromkeys(path for path in layers if is_within(path, names))


def worst_layers(model: keras.Model, samples, share: float, kernel, activations) -> tuple[str, ...]:
    """Returns the paths of the layers whose rounding costs most, a share of all that round, rounded up, all but one.

    Args:
        model: A model that rounds nothing.
        samples: Batches to look at.
        share: The share.
        kernel: As for `keras_slim.quantize`.
        activations: As for `keras_slim.quantize`.
    """
    inputs = type(samples)((x, None, None) for x, *_ in samples)
    report = quantization_report(model, inputs, kernel=kernel, activations=activations, verbose=0)
    number = min(math.ceil(share * len(report.layers)), len(report.layers) - 1)
    return tuple(row.path for row in report.layers[:number])


def left_real_note(names) -> tuple[str, ...]:
    """Returns a sentence that names layers that stay real."""
    return (f"Left real: {', '.join(map(repr, names))}.",) if names else ()

"""A file for phones."""

import dataclasses

import keras

from keras_slim.export.conversion import QUANTIZATIONS
from keras_slim.export.exporting import export_tflite
from keras_slim.export.microcontroller import check_target
from keras_slim.export.verification import check_tolerance
from keras_slim.recipes.base import State, Step, steps
from keras_slim.recipes.kinds.quantize import left_real_note, stays_real, worst_layers
from keras_slim.rewriting.calibration import calibrate, rounding_layers
from keras_slim.rewriting.quantization import quantize
from keras_slim.validation import check_choice, check_share

OWNER = "step `export`"


@steps.register("export")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(Step):
    """Writes the model as a LiteRT file, proved to answer like it.

    It is `keras_slim.export_tflite`. The model goes on as it is. With `quantize="int8"` the file takes the ranges that
    step `quantize` gave the model, or else those of the data; a layer that is left alone stays in floats. Other files
    round all layers or none.

    Args:
        quantize: `None` for float32, `"float16"`, `"dynamic"` or `"int8"`.
        file: Name of the file.
        tolerance: Least agreement with the model in decibels, as for `keras_slim.export_tflite`.
        target: `None`, `"phone"` or `"microcontroller"`.
        left_real: Share of the layers that an int8 file computes in floats, those whose rounding costs most.
    """

    quantize: str | None = None
    file: str = "model.tflite"
    tolerance: float | None = None
    target: str | None = None
    left_real: float = 0.0

    ending = ".tflite"

    def __post_init__(self):
        check_choice(self.quantize, "quantize", OWNER, QUANTIZATIONS)
        check_tolerance(self.tolerance, OWNER)
        check_target(self.target, self.quantize, OWNER)
        check_share(self.left_real, "left_real", OWNER, zero=True)

    @property
    def needs(self):
        return "inputs" if self.quantize == "int8" else "nothing"

    def check(self, place):
        if self.quantize in ("float16", "dynamic") and place.untouched:
            names = ", ".join(map(repr, sorted(place.untouched)))
            raise ValueError(
                f"Step `export` with quantize={self.quantize!r} rounds the weights of all layers, and the recipe "
                f"leaves {names} alone. Expected quantize=None or 'int8', which can leave layers real. Or tell in "
                "`layers` which steps leave them alone, without `export`: `{prune: null, quantize: null}`."
            )

    def weaker(self, strength):
        if self.quantize is None:
            return self
        if self.quantize == "int8" and strength:
            return dataclasses.replace(self, left_real=1 - strength * (1 - self.left_real))
        return dataclasses.replace(self, quantize=None, left_real=0.0)

    def run(self, state, place):
        model, real = state.model, ()
        is_int8 = self.quantize == "int8"
        data = place.samples if place.data is not None else None
        if is_int8 and not rounding_layers(model) and (self.left_real or place.untouched):
            left = stays_real(model, place.untouched)
            every = {keras.layers.Layer: "int"}
            if self.left_real:
                real = worst_layers(model, data, self.left_real, every | left, every | left)
            options = every | left | dict.fromkeys(real)
            model = calibrate(quantize(model, options, options, skip=()), data)
        report = export_tflite(
            model,
            place.path(self.file),
            self.quantize,
            data=None if data is None else iter(data),
            tolerance=self.tolerance,
            target=self.target,
            verbose=0,
        )
        return State(state.model, state.holding, left_real_note(real), self.file, report)

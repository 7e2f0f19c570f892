"""What layers with rounded weights and inputs share; each is one of Keras's in all else."""

import contextlib
from typing import Any

import keras
from keras import ops

from keras_slim.layers.bias_and_activation import with_bias
from keras_slim.quantizers import Place, get
from keras_slim.quantizers.kept_place import KeptPlace
from keras_slim.validation import check_choice

INPUTS = "inputs"
ROUNDING = ("all", "weights", "nothing")


class Quantized:
    """Mixes into a layer of Keras: it computes with rounded weights and inputs.

    A class that derives from it says which weights are rounded and along which axes their channels lie, and has
    `compute`, which sums. The weights that are trained stay as they are; what is rounded is made of them at every call.
    A quantizer with a constraint, such as `"binary"`, puts it on the weights, unless the layer is given one.

    Attributes:
        rounding: What is rounded now: `"all"`, the `"weights"` alone, or `"nothing"`; what is not is passed as it is.
            A function that was compiled before it is set goes on as it was.
        is_watching: Whether ranges are learned outside of training too.

    Args:
        *args: Arguments of Keras's layer.
        rounding: As the attribute.
        kept: For models in which units are masked: for the name of a weight, or `"inputs"`, a dictionary from an axis
            to the positions that are kept. What is left out is rounded to 0, and counts in no range. Optional.
        **kwargs: Arguments of Keras's layer, and the quantizers.
    """

    weight_axes: dict[str, tuple[int, ...]] = {"kernel": (-1,)}
    """For each rounded weight, by name, the axes that count the channels it makes."""
    constraints: tuple[str, ...] = ("kernel_constraint",)
    """The arguments with the constraints of these weights."""
    of_weights: str | None = "kernel_quantizer"
    """The argument with the quantizer of the weights; `None` for a layer without weights."""
    of_inputs: str | None = "input_quantizer"
    """The argument with the quantizer of the inputs; `None` for inputs that are not numbers."""

    built: bool
    trainable: bool
    kernel: Any
    compute: Any

    def __init__(self, *args, rounding="all", kept=None, **kwargs):
        self.rounding = check_choice(rounding, "rounding", type(self).__name__, ROUNDING)
        self.is_watching = False
        self.kept = {
            name: {int(axis): list(positions) for axis, positions in axes.items()}
            for name, axes in (kept or {}).items()
        }
        self.places: dict[str, Place] = {}
        for argument in self._arguments():
            setattr(self, argument, get(kwargs.pop(argument, None), argument, type(self).__name__))
        if self.of_weights and (quantizer := getattr(self, self.of_weights)):
            kwargs.update({name: kwargs.get(name) or quantizer.constraint() for name in self.constraints})
        super().__init__(*args, **kwargs)

    def _arguments(self):
        return [argument for argument in (self.of_weights, self.of_inputs) if argument]

    def build(self, input_shape=None):
        if self.built:
            return
        super().build(input_shape)
        places = {}
        if self.of_weights and (quantizer := getattr(self, self.of_weights)):
            for name, axes in self.weight_axes.items():
                place = self._place(quantizer, name, axes, is_weight=True)
                places[name] = place.build(self, tuple(getattr(self, name).shape))
        if self.of_inputs and (quantizer := getattr(self, self.of_inputs)):
            place = self._place(quantizer, INPUTS, (self.channel_axis,), is_weight=False)
            places[INPUTS] = place.build(self, tuple(input_shape))
        self.places = places

    def _place(self, quantizer, name, axes, is_weight):
        if name in self.kept:
            return KeptPlace(quantizer, name, axes, is_weight, kept=self.kept[name])
        return Place(quantizer, name, axes, is_weight)

    @property
    def channel_axis(self):
        """The axis of the channels of inputs and outputs."""
        return 1 if getattr(self, "data_format", None) == "channels_first" else -1

    def rounded(self, name, value, training=False):
        """Returns a weight, by name, or `"inputs"`, as the layer computes with it; ranges are learned in training."""
        place = self.places.get(name)
        is_rounded = place is not None and self.rounding in ("all", "weights" if place.is_weight else "all")
        is_learned = self.is_watching or (bool(training) and self.trainable and self.rounding != "nothing")
        if place is None or not (is_rounded or is_learned):
            return value
        if not keras.backend.is_float_dtype(value.dtype):
            value = ops.cast(value, self.compute_dtype)
        rounded = place(value, is_learned)
        return rounded if is_rounded else value

    def call(self, inputs, training=None):
        """Returns what Keras's layer would for rounded inputs and weights."""
        kernels = [self.rounded(name, getattr(self, name), training) for name in self.weight_axes]
        outputs = self.biased(self.rounded(INPUTS, inputs, training), *kernels)
        return outputs if self.activation is None else self.activation(outputs)

    def biased(self, inputs, *kernels):
        """Returns what the layer sums, with its bias."""
        return with_bias(self, self.compute(inputs, *kernels), self.channel_axis)

    # Those of convolutions and dense layers write their kernel and bias alone.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)

    def enable_lora(self, *args, **kwargs):
        raise NotImplementedError(f"`{type(self).__name__}` rounds its weights, so it has no adaptation beside them.")

    def quantize(self, *args, **kwargs):
        raise NotImplementedError(f"`{type(self).__name__}` has quantizers of its own, so Keras cannot quantize it.")

    def get_config(self):
        own = {each: keras.saving.serialize_keras_object(getattr(self, each)) for each in self._arguments()}
        if self.rounding != "all":
            own["rounding"] = self.rounding
        if self.kept:
            own["kept"] = {
                name: {str(axis): list(positions) for axis, positions in axes.items()}
                for name, axes in self.kept.items()
            }
        return {**super().get_config(), **own}


@contextlib.contextmanager
def rounding_only(what, layers):
    """A context in which layers with few bits round what is said, as their attribute `rounding`, and no more."""
    before = [layer.rounding for layer in layers]
    try:
        for layer in layers:
            layer.rounding = what
        yield
    finally:
        for layer, rounding in zip(layers, before, strict=True):
            layer.rounding = rounding


def kept_by_place(kept):
    """Returns what the argument `kept` is to be.

    Args:
        kept: From 0, for the inputs, or the name of a weight, and an axis of it to the positions that are kept.
    """
    places: dict[str, dict] = {}
    for (leaf, axis), positions in kept.items():
        places.setdefault(leaf or INPUTS, {})[axis] = positions
    return places

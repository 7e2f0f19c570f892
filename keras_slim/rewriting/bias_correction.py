"""Biases shifted so that rounding weights does not shift what a network computes on average."""

import dataclasses
from collections import Counter
from typing import Any

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.graph.copying import copied, copy_replacing
from keras_slim.graph.masks import masked_like, masks_kept
from keras_slim.graph.nodes import operations
from keras_slim.graph.opening import readable
from keras_slim.graph.program import Program
from keras_slim.graph.running import KeptState
from keras_slim.kernels.backends import without_gradients
from keras_slim.layers.quant_twins import PLAIN, QUANTIZED, quant_twin
from keras_slim.layers.quantized import Quantized, rounding_only
from keras_slim.own_state import give, variables_alike
from keras_slim.quantizers import get
from keras_slim.rewriting.per_layer import PerLayer
from keras_slim.rewriting.skipping import layers_to_replace
from keras_slim.scoring.data import first_samples, flat_inputs
from keras_slim.validation import check_count

OWNER = "correct_biases"


def correct_biases(model: keras.Model, data: Any, kernel: Any = "int", samples: int = 512) -> keras.Model:
    """Returns a copy of a model whose biases make up for the rounding of weights.

    Rounded weights are a little off, and over many inputs that are seldom negative, as behind a ReLU, this adds up to a
    shift of what a layer computes. Each layer `n` whose weights are rounded gets, channel by channel,

    `b'_n = b_n + E[W_n x] - E[W^_n x^]`,

    the means over samples and positions, with `x` in the real network and `x^` in the one that is rounded and corrected
    up to there. So all layers before have their share in it. No labels are needed and nothing is trained. It matters at
    few bits, most of all with one scale for a kernel; at 8 bits with a scale per channel there is little to correct.

    A model of `quantize`, or with layers with few bits by hand, is corrected for what these round, their inputs too. A
    model without such layers is corrected for the rounding that follows, by `quantize` with the same `kernel` or by a
    converter; until then it answers with shifted biases. Fold batch normalization first
    (`fold_batch_normalization`), as converters do: else weights are rounded that are not those in the file.

    Layers without a bias get one. A layer that is called several times has the mean of their shifts. `Embedding` has no
    bias and is not corrected.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.
        data: Inputs, in any form that `fit` takes: some hundred typical samples; targets are not looked at. Each batch
            is held in memory with what is computed of it.
        kernel: For a model without layers with few bits, the quantizer of its weights, or one by type, name or path, as
            in `quantize`; `"int"` is what a phone computes with.
        samples: How many samples to look at, at most.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        TypeError: If the model is no Keras model, or the data nothing that `fit` takes.
        ValueError: If the data is empty, does not fit, or what the network makes of it is not finite; if nothing in the
            model is rounded; if there is no such quantizer; if the model is not built.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.

    Warns:
        SlimWarning: If layers stay as they are because they derive from a type with a twin, are quantized by Keras or
            have a low-rank adaptation. The message names them.

    Example:

    >>> import keras, numpy as np, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[1.0], [0.3]]), np.zeros(1)])
    >>> corrected = correct_biases(model, np.array([[1.0, 1.0], [1.0, 3.0]]), kernel=slim.quantizers.Int(2))
    >>> round(float(corrected.layers[0].bias[0]), 3)  # 0.3 is rounded to 0, and meets 2 on average
    0.6

    Reference:
        Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", arXiv 1906.04721,
        section 4.2 and appendix D.
    """
    model = readable(model, OWNER)
    check_count(samples, "samples", OWNER)
    quantizers = {}
    if not any(isinstance(each, Quantized) for each in operations(model)):
        of_weights = PerLayer(model, kernel, lambda option: get(option, "kernel", OWNER), "kernel", OWNER)
        quantizers = {layer: of_weights.of(layer) for layer in layers_to_replace(model, QUANTIZED, (), OWNER)}
    copy, rounded = _with_biases(model, quantizers)
    if not any(each.is_corrected for each in rounded.values()):
        hint = "Give a `kernel`, or a model of `quantize`."
        expected = "a model with a convolution or a dense layer whose weights are rounded"
        raise ValueError(invalid_argument("model", OWNER, expected=expected, received=model, hint=hint))
    with KeptState(copy), without_gradients():
        shifts = _Shifts(copy, rounded)
        for x, *_ in first_samples(data, copy, samples, owner=OWNER):
            shifts.add(flat_inputs(copy, x))
    shifts.assign()
    return copy


def _with_biases(model, quantizers):
    """Returns a copy of a model whose rounded layers have a bias, and what rounds in it, a `_Rounded` by layer."""
    made = {}

    def in_place_of(operation, changes):
        if operation not in quantizers and not _sums(operation):
            return None
        made[operation] = copied(operation, **{"use_bias": True, **changes})
        return [made[operation]]

    copy = copy_replacing(model, in_place_of)
    for old, new in made.items():
        _copy_values(old, new)
    rounded = {each: _Rounded(each) for each in operations(copy) if isinstance(each, Quantized)}
    for old, new in made.items():
        if old not in quantizers:
            rounded[new] = _Rounded(new, copied(new, activation=None))
        elif quantizers[old] is not None and hasattr(new, "use_bias"):
            rounded[new] = _Rounded(new, quant_twin(new, quantizers[old], None, activation=None))
    return copy, rounded


def _sums(operation):
    return type(operation) in PLAIN and hasattr(operation, "use_bias")


def _copy_values(layer, other):
    """Gives a layer the values of the variables of another."""
    for old, new in variables_alike(layer, other):
        give(new, old)


class _Rounded:
    """A layer that rounds, with and without that.

    Args:
        layer: The layer.
        sums: A layer with few bits and the same config that sums alone, without an activation, not built; `None` if it
            is not corrected.
    """

    def __init__(self, layer, sums=None):
        self.layer = layer
        self._sums = sums or layer
        if sums:
            sums.build_from_config(layer.get_build_config())
            _copy_values(layer, sums)
        self.is_corrected = bool(sums) and any(place.is_weight for place in sums.places.values())

    def sums(self, call, real, rounded):
        """Returns what the layer sums, or computes, of real values, and of those of the rounded network."""
        call = dataclasses.replace(call, operation=self._sums)
        with rounding_only("nothing", [self._sums]):
            found = call(real)
        return found, call(rounded)

    def finished(self, found):
        """Returns what the layer makes of what it sums."""
        if self._sums is self.layer or self.layer.activation is None:
            return found
        return {number: masked_like(self.layer.activation(value), value) for number, value in found.items()}


class _Shifts:
    """Runs the real network and the rounded one side by side, and sums up by how much the means of layers differ.

    Args:
        model: The model.
        rounded: The `_Rounded` of each layer of it that rounds.
    """

    def __init__(self, model, rounded):
        self._rounded = rounded
        self._program = Program(model)
        self._last = {number: index for index, call in enumerate(self._program.calls) for number in call.inputs}
        self._sums = {layer: 0.0 for layer, each in rounded.items() if each.is_corrected}
        self._count = Counter()

    def add(self, inputs):
        """Takes in a batch of inputs."""
        real = dict(zip(self._program.inputs, inputs, strict=True))
        rounded = dict(real)
        for index, call in enumerate(self._program.calls):
            if call.operation in self._rounded:
                first, second = self._corrected(call, real, rounded)
            elif all(real[number] is rounded[number] for number in call.inputs):
                first = second = call(real)
            else:
                with masks_kept([real[number] for number in call.inputs]):  # what is the same in both
                    second = call(rounded)
                first = call(real)
            real.update(first)
            rounded.update(second)
            for number in (*call.inputs, *call.outputs):
                if self._last.get(number, -1) <= index:  # nobody reads it any more
                    real.pop(number, None)
                    rounded.pop(number, None)

    def _corrected(self, call, real, rounded):
        """Returns what a layer that rounds puts out in either network, in the rounded one with the same means."""
        each = self._rounded[call.operation]
        first, second = each.sums(call, real, rounded)
        if each.is_corrected:
            (number,) = call.outputs
            shift, axes = self._shift(each.layer, first[number], second[number])
            self._sums[each.layer] = self._sums[each.layer] + len(first[number]) * shift
            self._count[each.layer] += len(first[number])
            shifted = second[number] + keras.ops.cast(np.expand_dims(shift, axes), second[number].dtype)
            second = {number: masked_like(shifted, second[number])}
        return each.finished(first), each.finished(second)

    def _shift(self, layer, real, rounded):
        """Returns by how much more the channels are in the real network, on average, and all axes but theirs."""
        channels = (1 if getattr(layer, "data_format", None) == "channels_first" else -1) % len(real.shape)
        axes = tuple(axis for axis in range(len(real.shape)) if axis != channels)
        means = [keras.ops.convert_to_numpy(each).astype(float).mean(axis=axes) for each in (real, rounded)]
        shift = means[0] - means[1]
        if not np.isfinite(shift).all():
            raise ValueError(
                f"Layer '{layer.name}' makes numbers that are not finite of the `data` of `{OWNER}`. Expected finite "
                "ones. Look for NaN in the data and in the weights."
            )
        return shift, axes

    def assign(self):
        """Adds the shifts to the biases."""
        for layer, total in self._sums.items():
            if count := self._count[layer]:
                bias = keras.ops.convert_to_numpy(layer.bias).astype(float)
                layer.bias.assign(bias + np.reshape(total / count, bias.shape))

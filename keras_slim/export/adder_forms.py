"""Adder layers in a phone's operations: the fastest form that answers exactly, chosen by time for each layer.

A kernel of any values is computed one filter at a time. One with few different values, as
`keras_slim.sharing.share_kernel_values` leaves, can be a stock convolution over the distances to these values, which is
faster where they are very few. In int8 it is the only form: the converter breaks down over the other.
"""

import contextlib
import math

import keras
import numpy as np

from keras_slim.errors import ExportError
from keras_slim.export.latency import time_file
from keras_slim.held import layers_within
from keras_slim.kernels.builtin_adder import distances_by_filter, distances_by_value
from keras_slim.layers.adder import FORMS, Adder

MOST_VALUES = {None: 8, "float16": 8, "dynamic": 8, "int8": 32}
"""A kernel of more different values is not tried by value: it was never faster so."""
_TIMED_RUNS, _WARMUP_RUNS = 30, 5


class AdderForms:
    """How each adder layer of a model is computed while the model is traced and converted.

    Args:
        model: The model.
    """

    def __init__(self, model):
        layers = [layer for layer in layers_within(model) if isinstance(layer, Adder)]
        self._kernels = {id(layer): keras.ops.convert_to_numpy(layer.kernel) for layer in layers}
        self._names = {id(layer): layer.name for layer in layers}
        self._calls = {}  # (id of layer, shape of its input as images) -> options

    @contextlib.contextmanager
    def by_filter(self):
        """Computes one filter at a time, and remembers what the layers are called with."""

        def form(layer, inputs, kernel, **options):
            self._calls[id(layer), tuple(inputs.shape)] = (tuple(kernel.shape), options)
            return distances_by_filter(inputs, kernel, **options)

        with _form(form):
            yield

    @property
    def were_called(self):
        """Whether an adder layer was called meanwhile."""
        return bool(self._calls)

    @contextlib.contextmanager
    def fastest(self, quantize, load):
        """Computes each layer in the form that was faster in a file of its own.

        Args:
            quantize: The precision of the file.
            load: Function from a model to its `TfliteFile`.

        Raises:
            ExportError: If no form goes with the precision.
        """
        known = {}

        def is_faster(owner, shape, kernel_shape, options):
            kernel = self._kernels[owner]
            number = len(np.unique(kernel))
            hindrance = _hindrance(kernel, kernel_shape, options.get("groups", 1), MOST_VALUES[quantize])
            if quantize == "int8":
                return not hindrance or _refuse(self._names[owner], hindrance)
            kind = shape, kernel_shape, number, repr(options)
            if not hindrance and kind not in known:
                kernel = kernel.reshape(kernel_shape)
                first, second = (
                    _milliseconds(load, form, shape, kernel, options) for form in (_by_value, distances_by_filter)
                )
                known[kind] = first < second
            return not hindrance and known[kind]

        chosen = {(owner, shape) for (owner, shape), call in self._calls.items() if is_faster(owner, shape, *call)}

        def form(layer, inputs, kernel, **options):
            if (id(layer), tuple(inputs.shape)) not in chosen:
                return distances_by_filter(inputs, kernel, **options)
            return _by_value(inputs, self._kernels[id(layer)].reshape(kernel.shape), **options)

        with _form(form):
            yield


def _hindrance(kernel, called_shape, groups, most_values):
    """Returns why a layer cannot be computed by value, and what to do; an empty string if it can."""
    if kernel.size != math.prod(called_shape):
        return "it leaves out masked channels. Expected none. Remove them first with `keras_slim.shrink`, or give"
    if groups > 1:
        return f"it has {groups} groups of channels. Expected one. Give"
    number = len(np.unique(kernel))
    if number > most_values:
        return (
            f"its kernel has {number:,} different values. Expected at most {most_values}. Share them first with "
            "`keras_slim.sharing.share_kernel_values(model, 8)`, or give"
        )
    return ""


def _refuse(name, hindrance):
    raise ExportError(f"The adder layer '{name}' does not convert to int8: {hindrance} quantize='dynamic'.")


@contextlib.contextmanager
def _form(form):
    before = FORMS.set(form)
    try:
        yield
    finally:
        FORMS.reset(before)


def _by_value(inputs, kernel, groups=1, **options):
    return distances_by_value(inputs, kernel, **options)


class _Distances(keras.layers.Layer):
    """One form of one layer, to be timed."""

    def __init__(self, form, kernel, options):
        super().__init__()
        self.form, self.fixed, self.options = form, kernel, options

    def call(self, inputs):
        return self.form(inputs, self.fixed, **self.options)


def _milliseconds(load, form, shape, kernel, options):
    inputs = keras.Input(batch_shape=shape)
    model = keras.Model(inputs, _Distances(form, kernel, options)(inputs))
    return time_file(load(model), 1, _TIMED_RUNS, _WARMUP_RUNS).median_ms

"""Ranges that layers with few bits have learned: a file with integers takes them as they are, and needs no samples."""

import numpy as np

from keras_slim.errors import ExportError
from keras_slim.export.tflite_file import dequantize, is_quantized, match_names, quantize
from keras_slim.held import layers_within
from keras_slim.layers.quantized import INPUTS, Quantized
from keras_slim.quantizers import Int

_SPREADS_IN_A_RANGE = 6  # of normal numbers, of which then one in 400 lies outside


def has_ranges(model) -> bool:
    """Tells whether a layer of a model rounds activations in a range of its own, which converters read."""
    return bool(_places_with_ranges(model))


def check_ranges(model, owner):
    """Raises an error that names the layers whose ranges are not fit for a file.

    Args:
        model: A Keras model.
        owner: Name of the function that was given it.

    Raises:
        RuntimeError: If ranges were never learned.
        ExportError: If a range has collapsed to 0.
    """
    places = _places_with_ranges(model)
    unlearned = [layer.name for layer, place in places if not float(place.variables["batches"])]
    if unlearned:
        raise RuntimeError(
            f"`{owner}` takes the ranges that layers with few bits have learned, and these have learned none: "
            f"{unlearned}. Train the model first, if only for some batches, and without `trainable=False`; or export "
            "what `keras_slim.calibrate(model, samples)` returns, a copy with the ranges of typical samples."
        )
    collapsed = [layer.name for layer, place in places if place.quantizer.ends(place) == (0, 0)]
    if collapsed:
        raise ExportError(
            f"The ranges of what goes into these layers of the model '{model.name}' have collapsed, as all that came "
            f"was 0: {collapsed}. Expected activations other than 0. Look for dead units before them (a lower learning "
            "rate, no large negative bias), or remove these layers."
        )


def as_read(file, samples):
    """Returns samples as a file reads them: rounded to the integers of its inputs.

    Real numbers half-way between two integers would be rounded up here, and down there.

    Args:
        file: A `TfliteFile`.
        samples: Dictionary of arrays by input name.
    """
    details = _details(file, samples)
    return {name: dequantize(quantize(array, details[name]), details[name]) for name, array in samples.items()}


def spread(file, samples):
    """Returns random samples that fill the ranges of a file's inputs, in place of normal numbers.

    Args:
        file: A `TfliteFile`.
        samples: Dictionary of arrays of normal numbers by input name.
    """
    details = _details(file, samples)
    return {name: _spread(array, details[name]) for name, array in samples.items()}


def _details(file, samples):
    return {name: file.inputs[theirs] for name, theirs in match_names(list(samples), list(file.inputs)).items()}


def _spread(array, details):
    if not is_quantized(details):
        return array
    limits = np.iinfo(details["dtype"])
    low, high = dequantize(np.array([limits.min, limits.max]), details)
    return (low + high) / 2 + array * (high - low) / _SPREADS_IN_A_RANGE


def _places_with_ranges(model):
    return [
        (layer, layer.places[INPUTS])
        for layer in layers_within(model)
        if isinstance(layer, Quantized) and layer.rounding == "all" and _has_range(layer.places.get(INPUTS))
    ]


def _has_range(place):
    return place is not None and isinstance(place.quantizer, Int) and place.quantizer.has_range(place)

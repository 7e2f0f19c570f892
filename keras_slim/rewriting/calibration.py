"""Ranges from data alone: what layers with few bits learn in training, without training."""

import warnings

import keras
import numpy as np

from keras_slim.errors import SlimWarning, UnsupportedLayerError, invalid_argument
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.opening import readable
from keras_slim.graph.running import KeptState, observed_run
from keras_slim.held import layers_within
from keras_slim.kernels.backends import without_gradients
from keras_slim.layers.quantized import Quantized, rounding_only
from keras_slim.rewriting.per_layer import paths
from keras_slim.scoring.data import first_samples, flat_inputs
from keras_slim.validation import check_count

SAMPLES = 500
BATCH = 128
"""Samples of which the largest number counts once; with 16, numbers that are not rare are cut off."""


def rounding_layers(model: keras.layers.Layer) -> list:
    """Returns the layers in a model, or in a layer, that round something, those inside wrappers too, each once."""
    return [each for each in dict.fromkeys(layers_within(model)) if isinstance(each, Quantized) and each.places]


@without_gradients()
def learn_ranges(model: keras.Model, batches) -> None:
    """Gives all that is learned of ranges the values for some batches, in place of those that were learned before.

    Nothing is rounded meanwhile, and nothing else of the model changes.

    Args:
        model: A Functional or built Sequential model.
        batches: A list of batches `(x, y, sample_weight)` that fit it.
    """
    layers = rounding_layers(model)
    before = [layer.is_watching for layer in layers]
    places = [place for layer in layers for place in layer.places.values()]
    variables = [variable for place in places for variable in place.variables.values()]

    def learned(least):
        with KeptState(model):
            for place in places:
                place.forget()
            for inputs in _in_large_batches(model, batches, least):
                observed_run(model, inputs, ())
            return [keras.ops.convert_to_numpy(variable) for variable in variables]

    try:
        for layer in layers:
            layer.is_watching = True
        with rounding_only("nothing", layers):
            try:
                values = learned(BATCH)
            except UnsupportedLayerError:
                if not model.inputs[0].shape[0]:
                    raise
                values = learned(1)  # a layer in it takes batches of that size alone
    finally:
        for layer, is_watching in zip(layers, before, strict=True):
            layer.is_watching = is_watching
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _in_large_batches(model, batches, least):
    """Yields the inputs of a model, flat, small batches of the same shapes put together to some number of samples."""
    waiting: list = []
    for x, *_ in batches:
        inputs = flat_inputs(model, x)
        if waiting and _shapes(waiting[-1]) != _shapes(inputs):
            yield _together(waiting)
            waiting = []
        waiting.append(inputs)
        if sum(len(each[0]) for each in waiting) >= least:
            yield _together(waiting)
            waiting = []
    if waiting:
        yield _together(waiting)


def _shapes(inputs):
    return [tuple(each.shape[1:]) for each in inputs]


def _together(batches):
    return [keras.ops.concatenate(parts, axis=0) for parts in zip(*batches, strict=True)]


def calibrate(model: keras.Model, data, samples: int = SAMPLES) -> keras.Model:
    """Returns a copy of a model with few bits that has its ranges from data.

    For a model that is not to be trained on: `slim.quantize` gives it layers with few bits, and this their ranges. It
    is also a good start for a training. What layers have learned before is forgotten. Batch normalization and all other
    weights stay as they are; nothing is rounded while ranges are learned. They become the mean over the batches of the
    lowest and the highest number, small batches taken together to some 128 samples; not where a layer takes batches of
    one size alone, as a recurrent one with `stateful=True` does.

    Args:
        model: A Functional, built Sequential or subclassed model with layers that round. It is not changed.
        data: Some hundred typical samples, as `fit` takes them: inputs, `(x, y)`, or a `tf.data.Dataset`,
            `keras.utils.PyDataset` or generator of batches. Targets are not looked at.
        samples: How many of them are taken at most, the first ones.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        TypeError: If `model` is not a Keras model, or the data is nothing that `fit` takes.
        ValueError: If nothing in the model rounds; if data is missing, does not fit, or makes numbers that are not
            finite; if the model is not built.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied
            or fails on the data.

    Warns:
        SlimWarning: If layers were given nothing but zeros, so that they give nothing else. The message names them.

    Example:

    >>> import keras, numpy as np, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="a")])
    >>> twin = slim.calibrate(slim.quantize(model, "int", "int", skip=()), np.array([[-1.0, 3.0], [0.5, 2.0]]))
    >>> [(each.name, float(each)) for each in twin.get_layer("a").non_trainable_variables][:2]
    [('inputs_low', -1.0), ('inputs_high', 3.0)]
    """
    model = readable(model, "calibrate")
    check_count(samples, "samples", "calibrate")
    if not rounding_layers(model):
        expected = "a model with layers that round, such as those of `keras_slim.layers.QuantConv2D`"
        hint = "Make one first: `slim.quantize(model, 'int', 'int', skip=())`."
        raise ValueError(
            invalid_argument("model", "calibrate", expected=expected, received=f"'{model.name}'", hint=hint)
        )
    batches = first_samples(data, model, samples, owner="calibrate", reason="to take ranges from")
    copy = copy_replacing(model, lambda operation, changes: None)
    learn_ranges(copy, batches)
    check_ranges(copy, "calibrate")
    return copy


def check_ranges(model: keras.Model, owner: str) -> None:
    """Raises `ValueError` if learned ranges are not finite; warns of layers that were given nothing but zeros."""
    known = paths(model)
    wild, empty = [], []
    for layer in rounding_layers(model):
        for place in layer.places.values():
            learned = [
                keras.ops.convert_to_numpy(variable)
                for name, variable in place.variables.items()
                if name != "batches" and not name.endswith("_change")
            ]
            where = f"'{known.get(layer, layer.name)}' ({place.name})"
            if not all(np.isfinite(values).all() for values in learned):
                wild.append(where)
            elif learned and not any(np.any(values) for values in learned):
                empty.append(where)
    if wild:
        raise ValueError(
            f"`{owner}` was given data on which model '{model.name}' makes numbers that are not finite: ranges of "
            f"{', '.join(wild)}. Expected finite numbers. Look at the first of these layers, and for NaN in `data`."
        )
    if empty:
        warnings.warn(
            f"`{owner}` saw nothing but zeros in {', '.join(empty)} of model '{model.name}': these ranges have "
            "collapsed, and all that comes through is 0. Expected typical samples. If they are, the layers before "
            "are dead, and can be cut away.",
            SlimWarning,
            stacklevel=3,
        )

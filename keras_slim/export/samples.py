"""Samples to calibrate and to check a file with: a dictionary of arrays by input name, equally many in each."""

import itertools

import keras
import numpy as np

from keras_slim.errors import in_short
from keras_slim.export.signature import valid_name
from keras_slim.scoring.data import NO_BATCH

MOST = 500
"""Samples that are taken from data that comes in batches."""
DRAWN = 16
"""Samples that stand for the user's where none came."""


def read_samples(data, signature, name, owner):
    """Returns the user's samples by input name, in the types the model takes.

    Args:
        data: An array, or a list, tuple or dictionary of them like the model's inputs, or a flat list; samples along
            the first axis. Or batches as `fit` takes them, in a `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator: of those the first 500 samples.
        signature: The model's `Signature`.
        name: Name of the argument `data` came through.
        owner: Name of the function that was given it.

    Returns:
        A dictionary of arrays of shape `(samples, ...)`.

    Raises:
        ValueError: If there is no batch, the structure, a shape or the number of samples does not fit, or a value is
            not finite.
    """
    arrays = _match(gathered(data), signature, name, owner)
    samples = {
        model_input.name: _check_array(array, model_input, name, owner)
        for model_input, array in zip(signature.inputs, arrays, strict=True)
    }
    lengths = {key: len(array) for key, array in samples.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The arrays in `{name}` of `{owner}` differ in their number of samples: {lengths}.")
    return samples


def check_numbers(signature, owner):
    """Raises `ValueError` if an input takes texts."""
    for model_input in signature.inputs:
        if model_input.dtype == "string":
            raise ValueError(
                f"The input '{model_input.name}' takes texts, which the built-in operations of a phone file do not "
                f"read. Expected inputs of numbers in `{owner}`. Received: dtype string. Export the model from its "
                "first numbers on, `keras.Model(lookup.output, model.output)`, and look words up in the app."
            )


def draw_samples(signature, count=DRAWN, seed=0):
    """Returns `count` random samples, the same for the same seed: normal numbers, 0 or 1 for integers.

    Raises:
        ValueError: If an input has a free dimension, for which no size can be guessed.
    """
    random = np.random.default_rng(seed)
    return {
        model_input.name: _draw((count, *_check_fixed(model_input)), model_input.dtype, random)
        for model_input in signature.inputs
    }


def fix_shapes(signature, samples):
    """Returns the signature with every free dimension set to its size in the samples."""
    return signature.with_shapes({key: array.shape[1:] for key, array in samples.items()})


def gathered(data):
    """Returns the inputs of what comes in batches as one array each; anything else as it is."""
    if isinstance(data, keras.utils.PyDataset):
        batches = map(data.__getitem__, itertools.count() if data.num_batches is None else range(data.num_batches))
    elif hasattr(data, "__next__") or hasattr(data, "as_numpy_iterator"):
        batches = iter(data)
    else:
        return data
    parts, count = [], 0
    while count < MOST and (batch := next(batches, None)) is not None:
        inputs, *_ = keras.utils.unpack_x_y_sample_weight(batch)
        parts.append(inputs)
        count += len(keras.tree.flatten(inputs)[0])
    if not parts:
        raise ValueError(NO_BATCH)
    try:
        return keras.tree.map_structure(lambda *arrays: np.concatenate([*map(np.asarray, arrays)])[:MOST], *parts)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The batches in the data differ: {in_short(error)}. Expected batches of one structure, whose arrays "
            "differ in their number of samples alone. Give a dataset or a generator of such."
        ) from error


def _match(data, signature, name, owner):
    inputs = signature.inputs
    if _is_alike(data, signature.structure):
        return keras.tree.flatten(data)
    if isinstance(data, dict):
        arrays = {valid_name(key): array for key, array in data.items()}
        if set(arrays) == {model_input.name for model_input in inputs}:
            return [arrays[model_input.name] for model_input in inputs]
    else:
        arrays = list(data) if isinstance(data, list | tuple) else [data]
        if len(arrays) == len(inputs):
            return arrays
    raise ValueError(
        f"Invalid value for argument `{name}` of `{owner}`. Expected {_describe_inputs(inputs)}. "
        f"Received: {_describe(data)}. Give the inputs only, without labels."
    )


def _is_alike(data, structure):
    """Tells whether data are nested as inputs are, lists as tuples."""
    try:
        keras.tree.assert_same_structure(*map(keras.tree.lists_to_tuples, (structure, data)))
    except (TypeError, ValueError):
        return False
    return True


def _check_array(array, model_input, name, owner):
    where = f"for the input '{model_input.name}' in `{name}` of `{owner}`"
    try:
        array = np.asarray(array).astype(model_input.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected an array of {model_input.dtype} {where}. Received: {_describe(array)}.") from error
    expected, received = model_input.shape, array.shape[1:]
    fits = len(expected) == len(received) and all(
        size in (None, given) for size, given in zip(expected, received, strict=True)
    )
    if not fits or not len(array):
        raise ValueError(
            f"Expected at least one sample of shape {expected} {where}, an array of shape "
            f"{('samples', *expected)}. Received: an array of shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"Expected finite numbers {where}. Received: an array that holds NaN or infinity.")
    return array


def _check_fixed(model_input):
    if None in model_input.shape:
        raise ValueError(
            f"The input '{model_input.name}' has the shape {model_input.shape}, but a phone file is made for one fixed "
            "shape. Give `data`, whose shape is taken, or rebuild the model with a fixed keras.Input(shape)."
        )
    return model_input.shape


def _draw(shape, dtype, random):
    if keras.backend.is_float_dtype(dtype):
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0, 2, shape).astype(dtype)


def _describe_inputs(inputs):
    described = [f"'{model_input.name}' of shape {('samples', *model_input.shape)}" for model_input in inputs]
    return f"one array for each input of the model: {', '.join(described)}"


def _describe(data):
    if isinstance(data, dict):
        return f"a dictionary with the keys {list(data)}"
    if isinstance(data, list | tuple):
        return f"a {type(data).__name__} of {len(data)}"
    return f"one array of shape {data.shape}" if hasattr(data, "shape") else f"a {type(data).__name__}"

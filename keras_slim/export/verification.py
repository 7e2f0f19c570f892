"""A file beside the model it stands for: both answer the same samples, and the answers are compared."""

import dataclasses
import numbers
import os

import keras
import numpy as np

from keras_slim.errors import ExportError, invalid_argument
from keras_slim.export.agreement import Agreement, compare, least_for
from keras_slim.export.learned_ranges import as_read, has_ranges
from keras_slim.export.precision import is_float32
from keras_slim.export.samples import read_samples
from keras_slim.export.signature import read_signature
from keras_slim.export.tflite_file import TfliteFile, match_names, step_of

BATCH_SIZE = 32
"""Samples that the model is given at a time."""


def verify_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    x: object,
    tolerance: float | None = None,
    signature: str | None = None,
) -> Agreement:
    """Checks that a LiteRT file answers like the model it was made from.

    Args:
        model: The Keras model, built.
        path: Path of the file.
        x: Samples: an array, or a list or dictionary of arrays like the model's inputs.
        tolerance: Least signal-to-error ratio in decibels to accept. None takes it from what the file holds:
            60 for float32 (other orders of summation stay above 100), 40 for float16, 20 for dynamic-range int8 and 10
            for full int8 (a sound file is above 30 and 20; one that lies is near 0); 20 at most for a model of half
            precision, which rounds its own answers. `-math.inf` accepts anything, to look at the numbers.
        signature: Which of the file's signatures stands for the model, where it has several.

    Returns:
        An `Agreement`: the measured differences, the file's operations and how much of it XNNPACK runs.

    Raises:
        ExportError: If the file differs by more than the tolerance, has other inputs or outputs, or does not load.
        FileNotFoundError: If there is no such file.
        ValueError: If the samples do not fit the model, or the file has several signatures and none of them is named.

    Example:

    >>> agreement = verify_tflite(model, "digits.tflite", x[:200])  # doctest: +SKIP
    >>> agreement.sqnr_db > 60  # doctest: +SKIP
    True
    """
    tolerance = check_tolerance(tolerance, "verify_tflite")
    takes = read_signature(model, "verify_tflite")
    samples = read_samples(x, takes, "x", "verify_tflite")
    file = TfliteFile(path, signature=signature)
    return measure_agreement(model, file, takes, samples).check(least_db(model, file.quantize, tolerance))


def check_tolerance(tolerance, owner):
    """Returns `tolerance` if it is None or a number, or raises `TypeError`."""
    if tolerance is None or (isinstance(tolerance, numbers.Real) and not isinstance(tolerance, bool)):
        return tolerance
    raise TypeError(invalid_argument("tolerance", owner, expected="None or decibels, a number", received=tolerance))


def least_db(model, quantize, tolerance):
    """Returns the least agreement to accept, in decibels: the user's, or what the precisions at hand allow."""
    return least_for(quantize, not is_float32(model)) if tolerance is None else tolerance


def measure_agreement(model, file, signature, samples):
    """Returns the `Agreement` of a model and a file on samples, whatever it is.

    Args:
        model: The Keras model.
        file: A `TfliteFile`.
        signature: The model's `Signature`.
        samples: Dictionary of arrays by input name.

    Returns:
        An `Agreement`. A model that has learned ranges is asked what the file reads, integers: it rounds too.

    Raises:
        ExportError: If the inputs or outputs differ in number or shape.
    """
    expected = right_answers(model, file, signature, samples)
    agreement = compare_answers(expected, file_answers(file, samples), file)
    return dataclasses.replace(agreement, half_precision=not is_float32(model))


def right_answers(model, file, signature, samples):
    """Returns what a file of the model should answer, by the model's output names.

    Raises:
        ExportError: If the model itself answers NaN.
    """
    if has_ranges(model):
        samples = as_read(file, samples)
    expected = keras_answers(model, signature, samples)
    _check_answers(model, expected)
    return expected


def compare_answers(expected, received, file):
    """Returns the `Agreement` of what a file should answer and what it did, both real numbers by output name.

    Raises:
        ExportError: If the outputs differ in number or shape.
    """
    names = match_names(list(expected), list(received))
    outputs = [
        compare(name, *check_shapes(name, answer, received[names[name]]), step_of(file.outputs[names[name]]))
        for name, answer in expected.items()
    ]
    of_file = file.quantize, file.operations, file.partitions, file.delegated
    return Agreement(_count(expected), tuple(outputs), *of_file)


def keras_answers(model, signature, samples):
    """Returns the model's answers by output name: its own keys, or `output_0`, `output_1` as the exporter has it."""
    rows = []
    for start in range(0, _count(samples), BATCH_SIZE):
        batch = _rows(samples, slice(start, start + BATCH_SIZE))
        rows.append(name_outputs(outputs_of(model, signature, batch)))
        _check_rows_of_model(rows[-1], _count(batch))
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _check_rows_of_model(answers, size):
    for name, answer in answers.items():
        if answer.shape[:1] != (size,):
            raise ExportError(
                f"The output '{name}' of the model has the shape {answer.shape}, where a row for each of {size} "
                "samples was expected. A file answers one sample at a time: leave out what mixes samples."
            )


def outputs_of(model, signature, samples):
    """Returns what the model puts out for samples, as it does.

    On the CPU, as a GPU may shorten float32 on its own.

    Args:
        model: The Keras model.
        signature: Its `Signature`.
        samples: Dictionary of arrays by input name.
    """
    with keras.device("cpu"):
        return model(signature.pack(samples), training=False)


def file_answers(file, samples):
    """Returns the file's answers by output name: as many samples at a time as it takes, the last one several times."""
    names = match_names(list(samples), list(file.inputs))
    _check_input_shapes(file, names, samples)
    renamed = {names[name]: array for name, array in samples.items()}
    count, size = _count(samples), file.batch_size
    rows = []
    for start in range(0, count, size):
        answer = file.answer(_rows(renamed, np.minimum(np.arange(start, start + size), count - 1)))
        rows.append({name: _check_rows(name, array, size)[: count - start] for name, array in answer.items()})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _check_answers(model, answers):
    hollow = [name for name, answer in answers.items() if np.isnan(answer).any()]
    if hollow:
        raise ExportError(
            f"The model '{model.name}' itself answers NaN in {hollow}, so no file of it can be checked. Look for NaN "
            "in its weights, or for samples outside the range it was trained on."
        )


def name_outputs(outputs):
    """Returns what a model puts out by name: its own keys, or `output_0`, `output_1` as the exporter has it."""
    return dict(zip(names_of(outputs), flat_answers(outputs), strict=True))


def flat_answers(outputs):
    """Returns what a model puts out as a flat list of arrays: whatever floats as float32, whole numbers as they are."""
    flat = keras.tree.flatten(outputs)
    if any(isinstance(output, str) or keras.backend.standardize_dtype(output.dtype) == "string" for output in flat):
        raise ExportError(
            "The model puts out texts, which a phone file does not hold. Expected outputs of numbers. Look words up in "
            "the app, and export a model without them."
        )
    return [_as_array(output) for output in flat]


def _as_array(output):
    is_float = keras.backend.is_float_dtype(keras.backend.standardize_dtype(output.dtype))
    return keras.ops.convert_to_numpy(keras.ops.cast(output, "float32") if is_float else output)


def names_of(outputs):
    """Returns the names that the outputs of a model have in a file, in the order of `keras.tree.flatten`."""
    paths = [path for path, _ in keras.tree.flatten_with_path(outputs)]
    if isinstance(outputs, dict) and len(outputs) == len(paths):
        return [key for key, *_ in paths]
    return [f"output_{index}" for index in range(len(paths))]


def _check_input_shapes(file, names, samples):
    for name, array in samples.items():
        expected = tuple(file.inputs[names[name]]["shape"].tolist())
        received = (*expected[:1], *array.shape[1:])
        if expected != received:
            raise ExportError(
                f"The input '{names[name]}' of the file has the shape {expected}, where the input '{name}' of the "
                f"model has {received}."
            )


def _check_rows(name, array, size):
    if array.shape[:1] != (size,) and (size > 1 or not array.ndim):
        raise ExportError(
            f"The output '{name}' of the file has the shape {array.shape}, where a row for each of {size} samples was "
            "expected. Export the model with a batch of one, as export_tflite does."
        )
    return array


def check_shapes(name, expected, received):
    """Returns two arrays, or raises `ExportError` if their shapes differ."""
    if expected.shape != received.shape:
        raise ExportError(
            f"The output '{name}' has the shape {expected.shape} in the model and {received.shape} in the file."
        )
    return expected, received


def _rows(samples, rows):
    return {name: array[rows] for name, array in samples.items()}


def _count(samples):
    return len(next(iter(samples.values())))

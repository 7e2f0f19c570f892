"""Exporting for a phone: check, convert, prove, and only then put the file at its path."""

import os
import tempfile

import keras

from keras_slim.errors import ExportError, invalid_argument
from keras_slim.export.checked_conversion import convert_model
from keras_slim.export.conversion import QUANTIZATIONS
from keras_slim.export.dense_twin import is_sparse, sparsity_of, without_zeros
from keras_slim.export.islands import find_islands
from keras_slim.export.latency import time_file
from keras_slim.export.learned_ranges import check_ranges, has_ranges, spread
from keras_slim.export.microcontroller import check_target, run_beside_litert
from keras_slim.export.precision import check_not_quantized
from keras_slim.export.report import ExportReport, warn_of_weaknesses, weigh, weigh_in_float32
from keras_slim.export.samples import check_numbers, draw_samples, fix_shapes, read_samples
from keras_slim.export.signature import read_signature
from keras_slim.export.tflite_file import TfliteFile, describe
from keras_slim.export.tokens import check_tokens
from keras_slim.export.verification import check_tolerance, least_db, measure_agreement
from keras_slim.export.within_drop import round_within
from keras_slim.validation import check_choice, check_writable

_OWNER = "export_tflite"
_MOST_CHECKED_SAMPLES = 128
_TIMED_RUNS, _WARMUP_RUNS = 20, 3


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str | None = None,
    data: object = None,
    tolerance: float | None = None,
    verbose: int = 1,
    max_drop: float | None = None,
    target: str | None = None,
) -> ExportReport:
    """Writes a model as a LiteRT file for a phone, proved to answer like the model.

    The file has a fixed batch of one and built-in operations only. Before it takes its place it is run beside Keras on
    samples; when it lies, or would not run on a phone, it is deleted and an error raised. A file that was at `path`
    before is replaced at once or not at all. The model is left as it is; one of half or mixed precision is converted
    from a float32 copy. Where Keras runs on JAX or PyTorch, a process of TensorFlow converts the model as saved.

    Args:
        model: A Functional or Sequential model, or a subclassed one that has been called.
        path: Path of the file, which ends with `.tflite`.
        quantize: None for float32; `"float16"` for half the size; `"dynamic"` for int8 weights, a quarter of the size;
            `"int8"` for int8 throughout, in and out, which is the fastest on most phones and needs `data`. Of a model
            with few bits that has learned ranges, these are taken, without `data`; what is real in it stays float, and
            the report names it.
        data: Samples to check the file on (the first 128) and, for `"int8"`, to take the ranges of all activations
            from (all of them; 100 to 500 typical ones): an array, or a list or dictionary of arrays like the model's
            inputs, without labels; or batches as `fit` takes them, in a dataset or a generator, of which the first 500
            samples are taken. None checks on 16 random samples. Learned ranges are taken as they are, whatever comes.
        tolerance: Least signal-to-error ratio in decibels to accept; None takes 60 for float32, 40 for `"float16"`,
            20 for `"dynamic"`, 10 for `"int8"`, for the reasons given in `verify_tflite`.
        verbose: 0 for silence, 1 to show how far a search by `max_drop` has come, 2 for the converter's messages too.
            The report that is returned says the rest: print it.
        max_drop: For `"int8"`: how much worse the metric of the compiled model may become, its first one or its loss;
            0.01 is a point of accuracy. Then `data` are samples with targets, `(x, y)` or batches, of which the first
            1,000 are taken, and the layers that cost most are left in floats, as by `slim.quantize_within`; the report
            names them. Optional.
        target: None or `"phone"`; or `"microcontroller"`, for float32 and `"int8"`: the file is also run as
            `check_micro` does, with `tflite-micro`, and the report tells the memory it takes there.

    Returns:
        An `ExportReport`: size, latency, and agreement with Keras.

    Raises:
        ValueError: If an argument is wrong, `data` is missing or does not fit, the model is not built or was changed
            by `model.quantize`, a free dimension has no size, or tokens come as floats, which `"int8"` would round.
        ExportError: If the model does not convert with built-in operations, the file does not answer like it, a
            learned range has collapsed to 0, or the target does not run the file; or, on JAX and PyTorch, if the model
            cannot be saved, or loaded on TensorFlow.
        MissingExtraError: If the target is a microcontroller, and `tflite-micro` is not installed.
        RuntimeError: If the ranges of a model with few bits were never learned.
        UnreachableTargetError: If the metric does not hold before all layers are left in floats.

    Example:

    >>> report = export_tflite(model, "digits.tflite", quantize="int8", data=x[:200])  # doctest: +SKIP
    >>> report.bytes < 100_000  # doctest: +SKIP
    True
    """
    check_choice(quantize, "quantize", _OWNER, QUANTIZATIONS)
    path = check_writable(path, "path", _OWNER, ".tflite")
    check_target(target, quantize, _OWNER)
    check_tolerance(tolerance, _OWNER)
    signature = read_signature(model, _OWNER)
    check_not_quantized(model, _OWNER)
    check_numbers(signature, _OWNER)
    source, left = model, ()
    if max_drop is not None:
        source, data, left = round_within(model, data, max_drop, quantize, verbose, _OWNER)
    takes_ranges = quantize == "int8" and has_ranges(source)
    if takes_ranges:
        check_ranges(source, _OWNER)
    elif quantize == "int8":
        check_tokens(model, data, _OWNER)
    samples = choose_samples(signature, data, quantize == "int8" and not takes_ranges, _OWNER)
    signature = fix_shapes(signature, samples)
    # In the same folder, so that the file can take its place in one step.
    with tempfile.TemporaryDirectory(prefix=".export_tflite_", dir=os.path.dirname(path)) as folder:
        scratch = os.path.join(folder, "model.tflite")
        convert_model(source, scratch, signature, quantize, samples, verbose)
        file = TfliteFile(scratch)
        if takes_ranges and data is None:
            samples = spread(file, samples)
        agreement, latency = prove(model, file, signature, quantize, samples, tolerance)
        micro = run_beside_litert(file, samples, path, data is None) if target == "microcontroller" else None
        size, gzip_size = weigh(scratch)
        report = ExportReport(
            path=path,
            quantize=quantize,
            parameters=model.count_params(),
            bytes=size,
            gzip_bytes=gzip_size,
            sparsity=sparsity_of(model),
            dense_gzip_bytes=_weigh_dense_twin(source, folder, signature, quantize, samples),
            random_samples=data is None,
            agreement=agreement,
            latency=latency,
            left_real=left,
            float_islands=find_islands([source], file) if quantize == "int8" else (),
            inputs=describe(file.inputs),
            outputs=describe(file.outputs),
            least_runtime=file.least_runtime,
            float32_bytes=weigh_in_float32(scratch, model.count_params()) if quantize == "int8" else None,
            micro=micro,
        )
        os.replace(scratch, path)
    warn_of_weaknesses(report)
    return report


def choose_samples(signature, data, is_needed, owner):
    """Returns the user's samples by input name, or random ones where none came and none are needed."""
    if data is not None:
        return read_samples(data, signature, "data", owner)
    if is_needed:
        raise ValueError(
            invalid_argument(
                "data",
                owner,
                expected="100 to 500 typical samples, as quantize='int8' takes the ranges of all activations from them",
                received=None,
                hint="Give e.g. data=x_train[:200], or quantize='dynamic', which needs none.",
            )
        )
    return draw_samples(signature)


def _weigh_dense_twin(model, folder, signature, quantize, samples):
    """Returns the compressed size of the file of a model of the same shape without zeros; `None` if it has few."""
    if not is_sparse(model):
        return None
    path = os.path.join(folder, "dense.tflite")
    try:
        with without_zeros(model):
            convert_model(model, path, signature, quantize, samples, verbose=0)
    except ExportError:  # the twin is for comparison only
        return None
    return weigh(path)[1]


def prove(model, file, signature, quantize, samples, tolerance):
    """Returns the `Agreement` of a file with its model, and its `Latency`, or raises `ExportError`."""
    checked = {name: array[:_MOST_CHECKED_SAMPLES] for name, array in samples.items()}
    agreement = measure_agreement(model, file, signature, checked)
    return agreement.check(least_db(model, quantize, tolerance)), time_file(file, 1, _TIMED_RUNS, _WARMUP_RUNS)

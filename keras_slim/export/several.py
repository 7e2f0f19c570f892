"""Several models in one file, a signature each: weights that they share are stored once."""

import os
import re

from keras_slim.errors import invalid_argument
from keras_slim.export.checked_conversion import convert_models
from keras_slim.export.conversion import QUANTIZATIONS
from keras_slim.export.dense_twin import sparsity_of
from keras_slim.export.exporting import choose_samples, prove
from keras_slim.export.islands import find_islands
from keras_slim.export.learned_ranges import has_ranges
from keras_slim.export.precision import check_not_quantized
from keras_slim.export.report import ExportReport, warn_of_weaknesses, weigh
from keras_slim.export.samples import check_numbers, fix_shapes
from keras_slim.export.signature import read_signature
from keras_slim.export.tflite_file import TfliteFile, describe
from keras_slim.export.tokens import check_tokens
from keras_slim.export.verification import check_tolerance
from keras_slim.held import layers_within
from keras_slim.layers.adder import Adder
from keras_slim.validation import check_choice
from keras_slim.whole_files import written_whole

_OWNER = "export_signatures"


def export_signatures(
    models: dict,
    path: str | os.PathLike,
    quantize: str | None = None,
    data: dict | None = None,
    tolerance: float | None = None,
    verbose: int = 1,
) -> dict[str, ExportReport]:
    """Writes several models as one LiteRT file, with a signature for each, all proved.

    For an encoder and a decoder, or two heads on one body, that an app calls one at a time: weights that the models
    share are stored once. Each is checked as by `export_tflite`.

    Args:
        models: Keras models by the name of their signature.
        path: Path of the file, which ends with `.tflite`.
        quantize: As for `export_tflite`. Adder layers, and ranges that were learned, have no int8 here.
        data: Samples by the name of the signature, each as for `export_tflite`; needed for `"int8"`.
        tolerance: As for `export_tflite`.
        verbose: As for `export_tflite`.

    Returns:
        An `ExportReport` for each signature; size and operations in it are those of the whole file.

    Raises:
        ValueError, ExportError, RuntimeError: As `export_tflite`.

    Example:

    >>> models = {"encode": encoder, "decode": decoder}  # doctest: +SKIP
    >>> reports = export_signatures(models, "both.tflite", data={"encode": x, "decode": z})  # doctest: +SKIP
    >>> verify_tflite(encoder, "both.tflite", x, signature="encode")  # doctest: +SKIP
    """
    check_choice(quantize, "quantize", _OWNER, QUANTIZATIONS)
    check_tolerance(tolerance, _OWNER)
    _check_names(models, data)
    data = data or {}
    signatures, samples = {}, {}
    for name, model in models.items():
        signatures[name], samples[name] = _prepare(name, model, data, quantize)
    with written_whole(path, _OWNER, ".tflite") as scratch:
        convert_models(models, scratch, signatures, quantize, samples, verbose=verbose)
        reports = {
            name: _report(
                models, name, scratch, path, quantize, takes, samples[name], tolerance, data.get(name) is None
            )
            for name, takes in signatures.items()
        }
    for report in reports.values():
        warn_of_weaknesses(report)
    return reports


def _check_names(models, data):
    if not isinstance(models, dict) or not models:
        raise TypeError(invalid_argument("models", _OWNER, expected="models by name, a dictionary", received=models))
    wrong = [name for name in models if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)]
    if wrong:
        expected = "names of letters, digits and underscores, beginning with a letter"
        raise ValueError(invalid_argument("models", _OWNER, expected=expected, received=wrong))
    if data is not None and not (isinstance(data, dict) and set(data) <= set(models)):
        received = list(data) if isinstance(data, dict) else type(data).__name__
        expected = f"samples by the names {sorted(models)}, a dictionary"
        raise ValueError(invalid_argument("data", _OWNER, expected=expected, received=received))


def _prepare(name, model, data, quantize):
    """Returns the `Signature` of a model with every shape fixed, and samples."""
    takes = read_signature(model, _OWNER)
    check_not_quantized(model, _OWNER)
    check_numbers(takes, _OWNER)
    has_adders = any(isinstance(layer, Adder) for layer in layers_within(model))
    if quantize == "int8" and (has_adders or has_ranges(model)):
        what = "adder layers" if has_adders else "ranges that were learned"
        hint = f"The model '{model.name}' has {what}: export it by itself, with `export_tflite`, or give 'dynamic'."
        expected = "another precision for such layers"
        raise ValueError(invalid_argument("quantize", _OWNER, expected=expected, received=quantize, hint=hint))
    if quantize == "int8" and data.get(name) is None:
        expected = f"100 to 500 typical samples for '{name}' too, in a dictionary by name, as all activations"
        expected += " take their ranges from them with quantize='int8'"
        raise ValueError(invalid_argument("data", _OWNER, expected=expected, received=list(data) or None))
    if quantize == "int8":
        check_tokens(model, data.get(name), _OWNER)
    samples = choose_samples(takes, data.get(name), False, _OWNER)
    return fix_shapes(takes, samples), samples


def _report(models, name, scratch, path, quantize, takes, samples, tolerance, is_random):
    file = TfliteFile(scratch, signature=name if len(models) > 1 else None)
    agreement, latency = prove(models[name], file, takes, quantize, samples, tolerance)
    size, gzip_size = weigh(scratch)
    return ExportReport(
        path=os.path.abspath(path),
        quantize=quantize,
        parameters=models[name].count_params(),
        bytes=size,
        gzip_bytes=gzip_size,
        sparsity=sparsity_of(models[name]),
        dense_gzip_bytes=None,
        random_samples=is_random,
        agreement=agreement,
        latency=latency,
        float_islands=find_islands(models.values(), file) if quantize == "int8" else (),
        inputs=describe(file.inputs),
        outputs=describe(file.outputs),
        least_runtime=file.least_runtime,
    )

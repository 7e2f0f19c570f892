"""Models as they are converted: made ready, traced, and the file weighed; in TensorFlow, whatever Keras runs on."""

import os
import tempfile

from keras_slim.errors import ExportError
from keras_slim.export.adder_forms import AdderForms
from keras_slim.export.argmax import without_guarded_argmax
from keras_slim.export.conversion import SIGNATURE, convert
from keras_slim.export.learned_ranges import has_ranges
from keras_slim.export.left_real import with_real_apart
from keras_slim.export.on_tensorflow import on_tensorflow
from keras_slim.export.precision import check_not_quantized, in_float32
from keras_slim.export.samples import draw_samples
from keras_slim.export.signature import read_signature
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.export.tracing import Trace

_BYTES_PER_WEIGHT = {None: 4, "float16": 2, "dynamic": 1, "int8": 1}


def convert_model(model, path, signature, quantize, samples, verbose) -> None:
    """Writes a model to `path` as a LiteRT file, not yet proved to answer like it.

    Args:
        model: As for `export_tflite`.
        path: Path of the file.
        signature: The model's `Signature`, every shape fixed.
        quantize: As for `export_tflite`.
        samples: Dictionary of arrays by input name, for the ranges of activations where the model has learned none.
        verbose: As for `export_tflite`.

    Raises:
        ExportError: If the model does not convert.
    """
    needs_ranges = quantize == "int8" and not has_ranges(model)
    _convert_model(model, path, signature, quantize, samples if needs_ranges else None, verbose=verbose)


@on_tensorflow
def _convert_model(model, path, signature, quantize, samples, *, verbose):
    model = without_guarded_argmax(in_float32(model))
    if quantize == "int8" and samples is None:
        model = with_real_apart(model)
    forms = AdderForms(model)
    with forms.by_filter():
        trace = chosen = Trace(model, signature)
    if samples is not None:
        _check_loops(trace)
    if forms.were_called:
        with forms.fastest(quantize, lambda layer: load_unproved(layer, quantize, "export_tflite")):
            chosen = Trace(model, signature)
    convert({SIGNATURE: (chosen, samples)}, path, quantize, verbose=verbose > 1)
    _check_size(path, [trace], quantize)


@on_tensorflow
def convert_models(models, path, signatures, quantize, samples, *, verbose) -> None:
    """Writes several models as one file, with a signature for each; weights that are the same are stored once.

    Args:
        models: Models by name.
        path: Path of the file.
        signatures: Their `Signature`s by name, every shape fixed.
        quantize: As for `export_tflite`.
        samples: By name, dictionaries of arrays by input name.
        verbose: As for `export_tflite`.

    Raises:
        ExportError: If a model does not convert.
    """
    models = {name: without_guarded_argmax(in_float32(model)) for name, model in models.items()}
    with AdderForms(next(iter(models.values()))).by_filter():
        traces = {name: Trace(model, signatures[name]) for name, model in models.items()}
    if quantize == "int8":
        for trace in traces.values():
            _check_loops(trace)
    convert({name: (trace, samples[name]) for name, trace in traces.items()}, path, quantize, verbose=verbose > 1)
    _check_size(path, traces.values(), quantize)


def write_unproved(model, path, quantize, owner) -> None:
    """Writes the file that `export_tflite` would write, without the proof that it answers like the model.

    For its size and its speed, which do not depend on samples: random ones give the ranges of activations.

    Args:
        model: As for `export_tflite`.
        path: Path of the file.
        quantize: As for `export_tflite`.
        owner: Name of what needs the file, for error messages.
    """
    signature = read_signature(model, owner)
    check_not_quantized(model, owner)
    convert_model(model, path, signature, quantize, draw_samples(signature), verbose=0)


def load_unproved(model, quantize, owner, threads=1) -> TfliteFile:
    """Returns that file, loaded.

    Args:
        model: As for `export_tflite`.
        quantize: As for `export_tflite`.
        owner: Name of what needs the file, for error messages.
        threads: Number of threads the runtime may use.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        write_unproved(model, path, quantize, owner)
        return TfliteFile(path, threads)


def _check_loops(trace):
    """Raises `ExportError` if a model holds a loop, on which the converter's calibration crashes."""
    if trace.has_loop:
        raise ExportError(
            f"The model '{trace.model.name}' holds a loop, such as a recurrent layer has, and the converter's int8 "
            "calibration crashes on loops. Give quantize='dynamic' for int8 weights. Or export "
            "`slim.calibrate(slim.quantize(model, 'int', 'int', skip=()), data)`: the loop alone stays in floats "
            "there, as nothing in it has a range. Layers built with unroll=True do convert, but the file holds every "
            "step by itself: it is often larger than the float32 file with the loop."
        )


def _check_size(path, traces, quantize):
    """Raises `ExportError` if a file is smaller than the weights alone of a model in it can be."""
    size = os.path.getsize(path)
    needed = max(trace.num_kernel_weights for trace in traces) * _BYTES_PER_WEIGHT[quantize]
    # Half is allowed for: equal constants are stored once, and products of constants are folded into one.
    if size < needed / 2:
        raise ExportError(f"The file has {size:,} bytes where the weights alone need {needed:,}: it is not this model.")

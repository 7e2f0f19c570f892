"""The conversion itself, and its errors in plain words."""

import re
import tempfile

from keras_slim.errors import ExportError, in_short
from keras_slim.export.quiet import quiet

QUANTIZATIONS = (None, "float16", "dynamic", "int8")
SIGNATURE = "serving_default"
"""Name of the signature of a file with one model, which no one has to give."""
_RESIZING = ("ResizeBicubic", "ResizeArea", "ScaleAndTranslate")


def convert(parts, path, quantize, *, verbose):
    """Writes models to `path` as one LiteRT file of built-in operations, with a signature for each.

    As `keras.Model.export(format="litert")` does, by way of a SavedModel; but that holds the graphs alone, not the
    models, which would be traced again for it: the file is the same, in half the time.

    Args:
        parts: Dictionary by name of the signature: the `Trace` of a model in float32, and samples, a dictionary of
            arrays by input name. `"int8"` takes the ranges of all activations from these; None takes those that the
            model has learned, and leaves in floats what has none.
        path: Path of the file.
        quantize: One of `QUANTIZATIONS`.
        verbose: Whether to let the converter's own messages through.

    Raises:
        ExportError: If a model does not convert; the message names the operations and where they come from.
    """
    import tensorflow as tf

    module = tf.Module()
    module.held = [trace.held for trace, _ in parts.values()]
    functions = {name: trace.function for name, (trace, _) in parts.items()}
    try:
        with quiet(not verbose), tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(module, folder, signatures=functions)
            content = _converter(folder, parts, quantize).convert()
    except Exception as error:
        names = " and ".join(f"'{trace.model.name}'" for trace, _ in parts.values())
        raise ExportError(_explain(names, error)) from error
    with open(path, "wb") as file:
        file.write(content)


def _converter(folder, parts, quantize):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(parts))
    # Without this list the converter falls back on TensorFlow's own operations, which no phone has.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize is None:
        return converter
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8
        samples = {name: samples for name, (_, samples) in parts.items() if samples is not None}
        if samples:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: (
                (name, sample) for name, of_one in samples.items() for sample in _one_by_one(of_one)
            )
    return converter


def _one_by_one(samples):
    for index in range(len(next(iter(samples.values())))):
        yield {name: array[index : index + 1] for name, array in samples.items()}


def _explain(names, error):
    operations = _unsupported_operations(str(error))
    if not operations:
        return f"The model {names} does not convert: {in_short(error)}."
    listed = "; ".join(f"{name} (in {place})" if place else name for name, place in operations.items())
    instead = "Replace it by operations of keras.ops that convert"
    if any(name in _RESIZING for name in operations):
        instead = "Resize with interpolation 'bilinear' or 'nearest', and without `antialias`"
    return (
        f"The model {names} does not convert: LiteRT has no built-in operation for {listed}. "
        f"{instead}, or leave it out of the exported model."
    )


def _unsupported_operations(message):
    names = re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", message)
    return {name: _place_of(name, message) for name in dict.fromkeys(names)}


def _place_of(name, message):
    found = re.search(rf'fused\["{name}:", "([^"@]+)', message)
    return found.group(1).rpartition("/")[0] if found else ""

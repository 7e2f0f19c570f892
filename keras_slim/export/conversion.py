"""The conversion itself: one call of Keras's exporter, and its errors in plain words."""

import re

from keras_slim.errors import ExportError, in_short
from keras_slim.export.quiet import quiet

QUANTIZATIONS = (None, "float16", "dynamic", "int8")
_RESIZING = ("ResizeBicubic", "ResizeArea", "ScaleAndTranslate")


def convert(model, path, signature, quantize, samples, *, verbose):
    """Writes the model to `path` as a LiteRT file of built-in operations with a batch of one.

    Args:
        model: A Keras model in float32.
        path: Path of the file, ending with `.tflite`.
        signature: The model's `Signature`, every shape fixed.
        quantize: One of `QUANTIZATIONS`.
        samples: Dictionary of arrays by input name; `"int8"` takes the ranges of all activations from them. None takes
            those that the model has learned, and leaves in floats what has none.
        verbose: Whether to let the converter's own messages through.

    Raises:
        ExportError: If the model does not convert; the message names the operations and where they come from.
    """
    try:
        with quiet(not verbose):
            model.export(
                path,
                format="litert",
                verbose=verbose,
                input_signature=[signature.tensor_specs()],
                **_converter_attributes(quantize, samples),
            )
    except Exception as error:
        raise ExportError(_explain(model, error)) from error


def _converter_attributes(quantize, samples):
    import tensorflow as tf

    # Without this list the converter falls back on TensorFlow's own operations, which no phone has.
    attributes = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}
    if quantize is None:
        return attributes
    attributes["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        attributes["target_spec"]["supported_types"] = [tf.float16]
    if quantize == "int8":
        if samples is not None:
            attributes["target_spec"]["supported_ops"] = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            attributes["representative_dataset"] = lambda: _one_by_one(samples)
        attributes["inference_input_type"] = attributes["inference_output_type"] = tf.int8
    return attributes


def _one_by_one(samples):
    for index in range(len(next(iter(samples.values())))):
        yield {name: array[index : index + 1] for name, array in samples.items()}


def _explain(model, error):
    operations = _unsupported_operations(str(error))
    if not operations:
        return f"The model '{model.name}' does not convert: {in_short(error)}."
    listed = "; ".join(f"{name} (in {place})" if place else name for name, place in operations.items())
    instead = "Replace it by operations of keras.ops that convert"
    if any(name in _RESIZING for name in operations):
        instead = "Resize with interpolation 'bilinear' or 'nearest', and without `antialias`"
    return (
        f"The model '{model.name}' does not convert: LiteRT has no built-in operation for {listed}. "
        f"{instead}, or leave it out of the exported model."
    )


def _unsupported_operations(message):
    names = re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", message)
    return {name: _place_of(name, message) for name in dict.fromkeys(names)}


def _place_of(name, message):
    found = re.search(rf'fused\["{name}:", "([^"@]+)', message)
    return found.group(1).rpartition("/")[0] if found else ""

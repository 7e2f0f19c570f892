"""The conversion itself: one call of Keras's exporter, and its errors in plain words."""

import re
import tempfile

import keras

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
        raise ExportError(_explain(f"'{model.name}'", error)) from error


def convert_several(parts, path, quantize, *, verbose):
    """Writes several models to `path` as a LiteRT file with a signature for each.

    Args:
        parts: Dictionary by name of the signature of models in float32, their `Signature`s and their samples, as for
            `convert`.
        path: Path of the file.
        quantize: One of `QUANTIZATIONS`.
        verbose: Whether to let the converter's own messages through.

    Raises:
        ExportError: If a model does not convert.
    """
    models = [model for model, _, _ in parts.values()]
    try:
        with quiet(not verbose), tempfile.TemporaryDirectory() as folder:
            archive = keras.export.ExportArchive()
            for name, (model, signature, _) in parts.items():
                archive.track(model)
                archive.add_endpoint(name, _calling(model), input_signature=[signature.tensor_specs()])
            archive.write_out(folder, verbose=verbose)
            content = _converter(folder, parts, quantize).convert()
    except Exception as error:
        raise ExportError(_explain(" and ".join(f"'{model.name}'" for model in models), error)) from error
    with open(path, "wb") as file:
        file.write(content)


def _calling(model):
    return lambda inputs: model(inputs, training=False)


def _converter(folder, parts, quantize):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(parts))
    attributes = _converter_attributes(quantize, [] if quantize == "int8" else None)
    for name, value in attributes.pop("target_spec").items():
        setattr(converter.target_spec, name, value)
    for name, value in attributes.items():
        setattr(converter, name, value)
    if quantize == "int8":
        converter.representative_dataset = lambda: (
            (name, sample) for name, (_, _, samples) in parts.items() for sample in _one_by_one(samples)
        )
    return converter


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

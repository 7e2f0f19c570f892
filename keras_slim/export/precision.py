"""Which precision a model computes in, and its twin in float32.

The converter has built-in operations for float32 only: a model of a half or mixed precision would need operations no
phone has, and one that Keras has quantized gives wrong numbers. The first is rebuilt in float32, the second refused.
"""

import contextlib

import keras

from keras_slim.errors import ExportError
from keras_slim.held import layers_within
from keras_slim.own_state import carry_state
from keras_slim.remaking import config_of, made_from

_OTHER_FLOATS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")


def check_not_quantized(model, owner):
    """Returns the model, or raises `ValueError` if `model.quantize` has been at it."""
    quantized = [layer.name for layer in layers_within(model) if layer.dtype_policy.quantization_mode]
    if quantized:
        raise ValueError(
            f"`{owner}` cannot convert a model that `model.quantize` has changed (layers: {sorted(quantized)}): int8 "
            "does not convert, and int4 converts to wrong numbers. Give the model as it was before, and let the "
            "converter quantize it: export_tflite(model, path, quantize='int8', data=samples)."
        )
    return model


def is_float32(model):
    """Returns whether every layer of the model computes and stores in float32."""
    return not any(layer.dtype_policy.name in _OTHER_FLOATS for layer in layers_within(model))


def in_float32(model):
    """Returns the model itself if it is float32 throughout, or else a float32 copy with the same weights.

    Raises:
        ExportError: If the model cannot be rebuilt from its config.
    """
    if is_float32(model):
        return model
    try:
        with _float32_by_default():
            clone, pairs = _rebuild(model)
            clone.set_weights(model.get_weights())
            for layer, copy in pairs:
                carry_state(layer, copy)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ExportError(
            f"The model '{model.name}' does not compute in float32, which a phone file needs, and it cannot be rebuilt "
            f"in float32: {error} Build it under keras.config.set_dtype_policy('float32') and load its weights."
        ) from error
    if not is_float32(clone):
        raise ExportError(f"Some layers of the model '{model.name}' fix their own precision. Build them in float32.")
    return clone


def _rebuild(model):
    """Returns a float32 clone, and pairs of layers and their copies."""
    pairs = []

    def clone_layer(layer):
        pairs.append((layer, made_from(_with_float32(config_of(layer)), layer)))
        return pairs[-1][1]

    if hasattr(model, "inputs"):
        # Cloning a compiled model would serialize its loss and optimizer; a view of it has none.
        if isinstance(model, keras.Sequential):
            view = keras.Model(model.inputs, model.outputs)
        else:
            view = keras.Model(model.input, model.output)
        return keras.models.clone_model(view, clone_function=clone_layer, recursive=True), pairs
    clone = made_from(_with_float32(config_of(model)), model)
    clone.build_from_config(model.get_build_config())
    return clone, [(model, clone)]


def _with_float32(config):
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {
            key: "float32" if key == "dtype" and value in _OTHER_FLOATS else _with_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(map(_with_float32, config))
    return config


@contextlib.contextmanager
def _float32_by_default():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)

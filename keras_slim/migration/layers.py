"""The layer of Keras 3 for the config of one of `tf_keras`."""

import inspect
from typing import Any

import keras

NETWORKS = ("Functional", "Model", "Sequential")
# What `tf_keras` writes and Keras 3 does not know: left out if it has one of these values, or whatever it is.
ANYTHING = object()
LEFT_OUT: dict[str, tuple | object] = {
    "autocast": ANYTHING,
    "batch_input_shape": ANYTHING,
    "dynamic": (False,),
    "fused": ANYTHING,
    "groups": (1,),
    "implementation": ANYTHING,
    "input_length": ANYTHING,
    "interpolation": ("nearest",),
    "kernel_constraint": (None,),
    "kernel_initializer": ANYTHING,
    "kernel_regularizer": (None,),
    "key_shape": ANYTHING,
    "query_shape": ANYTHING,
    "ragged": (False,),
    "renorm": (False,),
    "softmax_robust_masking": ANYTHING,
    "sparse": (False,),
    "time_major": (False,),
    "value_shape": ANYTHING,
    "virtual_batch_size": (None,),
}
RENAMED = {("LeakyReLU", "alpha"): "negative_slope"}
ALSO_KNOWN_AS = {"SyncBatchNormalization": "BatchNormalization"}
OTHER_MEANING = {
    "hard_sigmoid": "Keras 3 computes relu6(x + 3) / 6 under this name, `tf_keras` clip(0.2 x + 0.5, 0, 1)",
}


class NoCounterpartError(ValueError):
    """A layer that Keras 3 has nothing for; the message is the reason, the middle of a sentence."""


def made_layer(entry: dict) -> keras.layers.Layer:
    """Returns a layer, not built.

    Args:
        entry: What `tf_keras` writes of it: its `class_name`, `config` and perhaps `module`.

    Raises:
        NoCounterpartError: If Keras 3 has no such layer, or does not know one of its arguments.
    """
    kind = counterpart(entry)
    try:
        return kind.from_config(translated(kind, entry["config"]))
    except NoCounterpartError:
        raise
    except Exception as error:  # whatever a constructor has to say of its arguments
        raise NoCounterpartError(f"Keras 3 does not make it: {str(error).strip().splitlines()[0]}") from error


def counterpart(entry: dict) -> type[keras.layers.Layer]:
    """Returns the class of Keras 3 for one of `tf_keras`.

    Raises:
        NoCounterpartError: If there is none.
    """
    name, module = entry["class_name"], entry.get("module") or "keras.layers"
    if name == "Lambda":
        raise NoCounterpartError("a Lambda is Python code, which no file hands on safely; write it as a layer")
    if module.split(".")[0] not in ("keras", "tf_keras"):
        raise NoCounterpartError(
            f"a layer of your own, from {module}; define it for Keras 3, and build the model there"
        )
    kind = getattr(keras.layers, ALSO_KNOWN_AS.get(name, name), None)
    if not (inspect.isclass(kind) and issubclass(kind, keras.layers.Layer)):
        raise NoCounterpartError("Keras 3 has no layer of this name")
    return kind


def translated(kind: type, config: dict) -> dict[str, Any]:
    """Returns a config for a class of Keras 3.

    Args:
        kind: The class.
        config: As `tf_keras` writes it.

    Raises:
        NoCounterpartError: If it has an argument that Keras 3 does not know, or means otherwise.
    """
    constructors = [vars(each)["__init__"] for each in kind.__mro__ if "__init__" in vars(each)]
    accepted = {name for each in constructors for name in inspect.signature(each).parameters}
    made = {}
    for key, value in config.items():
        key = RENAMED.get((kind.__name__, key), key)
        if key in accepted or key == "layer":
            made[key] = _value(kind, key, value)
        elif not _may_be_left_out(key, value):
            raise NoCounterpartError(f"Keras 3 has no argument `{key}`, here {value!r}")
    return made


def weight_name(layer: keras.layers.Layer, name: str) -> str:
    """Returns the name that a weight of `tf_keras` has in a layer of Keras 3."""
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    return "kernel" if is_depthwise and name == "depthwise_kernel" else name


def dtype_of(config: dict) -> str:
    """Returns the name of the precision in a config."""
    dtype = config.get("dtype") or "float32"
    return dtype if isinstance(dtype, str) else dtype["config"]["name"]


def activation_of(value):
    """Returns an activation without what TFMOT puts around it."""
    if isinstance(value, dict):
        if value.get("class_name") == "NoOpActivation":
            return "linear"
        if value.get("class_name") == "QuantizeAwareActivation":
            return activation_of(value["config"]["activation"])
        if value.get("class_name") == "function":
            return activation_of(value["config"])
    return value


def _may_be_left_out(key, value):
    harmless = LEFT_OUT.get(key, ())
    return harmless is ANYTHING or (isinstance(harmless, tuple) and value in harmless)


def _value(kind, key, value):
    if key == "dtype":
        return dtype_of({"dtype": value})
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if key.endswith("activation"):
        value = activation_of(value)
        if isinstance(value, str) and value in OTHER_MEANING:
            raise NoCounterpartError(f"its activation '{value}' means something else: {OTHER_MEANING[value]}")
    if isinstance(value, list):
        return [_inner(each) for each in value]
    return _inner(value)


def _inner(value):
    """Returns a value of a config, a layer in it translated too: of `Bidirectional`, `TimeDistributed`, `RNN`."""
    name = value.get("class_name") if isinstance(value, dict) and "config" in value else None
    if isinstance(name, str) and isinstance(getattr(keras.layers, name, None), type):
        return keras.saving.serialize_keras_object(made_layer(value))
    return value

"""How large the model will be that a configuration describes, as far as it can be told without building it."""

import math

_CONVOLUTIONS = {f"Conv{axes}D{kind}" for axes in (1, 2, 3) for kind in ("", "Transpose")}
_RECURRENT = {"SimpleRNN", "GRU", "LSTM"}


def declared_weights(config) -> int:
    """Returns how many weights a configuration's layers have at least: dense, convolutions, recurrent, embeddings.

    Args:
        config: Configuration of a model or a layer as Keras has it, or a part of it.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(30), keras.layers.Dense(2)])
    >>> declared_weights(keras.saving.serialize_keras_object(model))
    1560
    """
    if isinstance(config, list):
        return sum(map(declared_weights, config))
    if not isinstance(config, dict):
        return 0
    own = _kernel_size(config) if config.get("module") == "keras.layers" else 0
    return own + sum(map(declared_weights, config.values()))


def _kernel_size(layer):
    """Returns the size of a layer's kernel; 1 stands for the number of channels where it is not known."""
    kind, config = layer["class_name"], layer["config"]
    shape = (layer.get("build_config") or {}).get("input_shape") or [1]
    channels = shape[1 if config.get("data_format") == "channels_first" else -1] or 1
    if kind == "Dense":
        return channels * config["units"]
    if kind in _CONVOLUTIONS:
        return channels * config["filters"] * math.prod(config["kernel_size"]) // config.get("groups", 1)
    if kind in _RECURRENT:
        return (channels + config["units"]) * config["units"]
    if kind == "Embedding":
        return config["input_dim"] * config["output_dim"]
    return 0

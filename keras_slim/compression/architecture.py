"""How large the model will be that a configuration describes, as far as it can be told without building it."""

import math

_MOST_ALONG_AN_AXIS = 1 << 62
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
    return _kernel_size(config) + sum(map(declared_weights, config.values()))


def _kernel_size(layer):
    """Returns the size of a layer's kernel; 1 stands for the number of channels where it is not known."""
    module, kind, config = layer.get("module", "keras"), layer.get("class_name"), layer.get("config")
    if str(module).partition(".")[0] != "keras" or not isinstance(kind, str) or not isinstance(config, dict):
        return 0
    kind = kind.rpartition(".")[2]
    if kind == "Dense":
        return _channels(layer) * _size(config.get("units"))
    if kind in _CONVOLUTIONS:
        inputs = max(1, _channels(layer) // _size(config.get("groups")))
        return inputs * _size(config.get("filters")) * math.prod(map(_size, config["kernel_size"][:3]))
    if kind in _RECURRENT:
        return (_channels(layer) + _size(config.get("units"))) * _size(config.get("units"))
    if kind == "Embedding":
        return _size(config.get("input_dim")) * _size(config.get("output_dim"))
    return 0


def _channels(layer):
    shape = (layer.get("build_config") or {}).get("input_shape") or [1]
    return _size(shape[1 if layer["config"].get("data_format") == "channels_first" else -1])


def _size(value):
    """Returns the length of an axis; 1 for what is none, such as a negative one that would hide others in a sum."""
    return min(max(1, value), _MOST_ALONG_AN_AXIS) if isinstance(value, int) else 1

"""Layers that compute what their type does in Keras, and those that may not."""

from collections.abc import Container

import keras


def differs_because(layer: keras.layers.Layer, types: Container[type]) -> str:
    """Returns why a layer may compute something else than Keras's layer, or an empty string if it does not.

    Args:
        layer: A layer of one of some types of Keras, or that derives from one.
        types: The types.

    Example:

    >>> differs_because(keras.layers.Dense(2), {keras.layers.Dense})
    ''
    """
    if type(layer) not in types:
        return f"`{type(layer).__name__}` derives from a layer of Keras and may compute something else"
    if getattr(layer, "lora_enabled", False):
        return "it has a low-rank adaptation"
    return "it is quantized" if getattr(layer, "quantization_mode", None) else ""

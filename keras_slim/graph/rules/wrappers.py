"""Layers that call other layers one after the other."""

import keras

from keras_slim.graph.registry import register_rule


@register_rule(keras.layers.Pipeline)
def pipeline(call):
    """Each layer inside hands its units to the next."""
    channels = call.inputs[0]
    for index, layer in enumerate(call.layer.layers):
        shape = tuple(layer.compute_output_shape(channels.shape))
        is_last = index == len(call.layer.layers) - 1
        part = None if is_last else f"layers/{index}"
        (channels,) = call.inner(layer, ("layers", index, "config"), [channels], [shape], part)
        # Copies, since what a later layer reads is no input of the pipeline, even of the same units.
        channels = channels.copy()
    return channels

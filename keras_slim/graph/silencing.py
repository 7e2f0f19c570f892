"""What a model must compute instead, so that units have no effect while everything keeps its size."""

import numpy as np

from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.layers.masked import masked_twin


def silent_value(graph: ChannelGraph, keep: np.ndarray, variable, value: np.ndarray) -> np.ndarray:
    """Returns the value of a variable with zeros wherever it would read a unit that is not kept."""
    for slot in graph.slots:
        if slot.variable is variable and slot.role == "consumes":
            alive = np.zeros(value.shape[slot.axis])
            alive[kept_positions(slot.units, keep)] = 1
            shape = [-1 if axis == slot.axis else 1 for axis in range(value.ndim)]
            value = value * alive.reshape(shape).astype(value.dtype)
    return value


def silent_twin(graph: ChannelGraph, keep: np.ndarray, layer, config: dict):
    """Returns the copy of a layer that leaves units out of its statistics; `None` where it leaves out none."""
    kept = {
        (leaf, axis): positions.tolist()
        for (owner, leaf, axis), units in graph.statistics.items()
        if owner == id(layer) and len(positions := kept_positions(units, keep)) < len(units)
    }
    return masked_twin(layer, config, kept)

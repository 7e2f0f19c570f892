"""Where units are after some operations, by the rules and by asking the operations themselves."""

import keras
import numpy as np
from keras import layers

from keras_slim.graph import Channels, analyse
from keras_slim.graph.analysis import Trace

UNITS = 6


def traced(function, shape=(4, 5, 3)):
    """Returns the channels of what a function returns, given a tensor whose last axis has the atoms 0 to 5."""
    inputs = keras.Input(shape)
    model = keras.Model(inputs, function(layers.Dense(UNITS)(inputs)))
    return Trace().model(model, [Channels(inputs.shape)])


def check_moved(function, shape=(4, 5, 3)):
    """Checks the rules of operations that only move elements, or put in -1: the numbers of units must move alike."""
    found = traced(function, shape)
    numbers = np.broadcast_to(np.arange(UNITS), (2, *shape[:-1], UNITS)).astype("float32")
    for channels, moved in zip(found, keras.tree.flatten(function(keras.ops.convert_to_tensor(numbers))), strict=True):
        moved = np.asarray(moved).astype(int)
        ((axis, units),) = channels.axes.items()
        assert (np.moveaxis(moved, axis, -1) == units).all()


def whole(model):
    """Returns the reasons why layers are left whole, by name; those of the model's output are left out."""
    return {
        name: reason
        for entry in analyse(model).whole
        for name in entry.layers
        for reason in entry.reasons
        if "model output" not in reason
    }


def sizes(model):
    """Returns the number of units of each group, by name."""
    return {group.name: group.size for group in analyse(model).groups}

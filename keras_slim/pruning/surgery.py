"""Rebuilding a model with fewer units, and the map from its weights to the new ones."""

from collections import defaultdict
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.graph.nodes import walk


@dataclass(frozen=True, eq=False)
class Transfer:
    """How a variable's value passes into a smaller model.

    Args:
        old: Variable of the model that is cut.
        new: Variable of the smaller model.
        kept: From axis to the positions that survive; axes that are not cut are missing.
    """

    old: keras.Variable
    new: keras.Variable
    kept: dict[int, np.ndarray]

    def cut(self, value, axes=None):
        """Returns the surviving part of an array that lies along some axes of the old variable.

        Args:
            value: Array.
            axes: For each axis of the array, the variable's axis it lies along. Defaults to the variable's own.
        """
        for position, axis in enumerate(range(value.ndim) if axes is None else axes):
            if axis in self.kept:
                value = np.take(value, self.kept[axis], axis=position)
        return value


def rebuild(graph: ChannelGraph, keep: np.ndarray) -> tuple[keras.Model, list[Transfer]]:
    """Builds a new model with only some of the units, weights copied.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.

    Returns:
        The new model, not compiled, and how each of its variables came from the old ones.
    """
    resizes = defaultdict(list)
    for resize in graph.resizes:
        resizes[id(resize.layer)].append((resize.name, resize.index, len(kept_positions(resize.units, keep))))
    layers = {}

    def smaller(layer):
        config = layer.get_config()
        for name, index, count in resizes[id(layer)]:
            config[name] = count if index is None else _replaced(config[name], index, count)
        layers[id(layer)] = type(layer).from_config(config)
        return layers[id(layer)]

    model = _clone_model(graph.model, smaller)
    if not graph.model.trainable:
        model.trainable = False
    transfers = list(_transfers(graph, keep, layers))
    for transfer in transfers:
        transfer.new.assign(transfer.cut(ops.convert_to_numpy(transfer.old)))
    return model, transfers


def _replaced(sequence, index, value):
    return (*sequence[:index], value, *sequence[index + 1 :])


def _clone_model(model, clone_layer):
    """Clones the graph of a model, without its compilation, its input layers under their own names."""
    inputs = {
        id(node.outputs[0]): type(node.operation).from_config(node.operation.get_config()).output
        for node in walk(model)
        if isinstance(node.operation, keras.layers.InputLayer)
    }
    if isinstance(model, keras.Sequential):
        cloned = [clone_layer(layer) for layer in model.layers]
        return keras.Sequential([inputs[id(model.inputs[0])], *cloned], name=model.name)
    return keras.models.clone_model(
        keras.Model(model.input, model.output, name=model.name),
        input_tensors=keras.tree.map_structure(lambda tensor: inputs[id(tensor)], model.input),
        clone_function=clone_layer,
    )


def _transfers(graph, keep, layers):
    slots = defaultdict(list)
    for slot in graph.slots:
        slots[id(slot.variable)].append(slot)
    for layer in graph.model.layers:
        if id(layer) not in layers:
            continue  # an input layer
        for old, new in zip(layer.variables, layers[id(layer)].variables, strict=True):
            kept = {slot.axis: kept_positions(slot.units, keep) for slot in slots[id(old)]}
            yield Transfer(old, new, {axis: kept[axis] for axis in kept if len(kept[axis]) < old.shape[axis]})

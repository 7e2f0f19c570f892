"""Rebuilding a model with fewer units, and the map from its weights to the new ones."""

import functools
from collections import defaultdict
from dataclasses import dataclass

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.channel_graph import ChannelGraph, kept_positions
from keras_slim.graph.nodes import is_graph
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import copy_of
from keras_slim.graph.silencing import silent_twin, silent_value
from keras_slim.own_state import carry_state, variables_of
from keras_slim.remaking import config_of, made_from


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

    def change(self):
        """Returns what the new variable has in addition to the surviving part of the old one."""
        return self.new.numpy() - self.cut(self.old.numpy())


def rebuild(
    graph: ChannelGraph, keep: np.ndarray, replace=lambda layer, config: None, values: dict | None = None
) -> tuple[keras.Model, list[Transfer]]:
    """Builds a new model with only some of the units, its weights copied.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.
        replace: Function from a layer and its config to the copy, or to `None` for the usual one. Optional.
        values: Values of weights, before the cut, by the id of the variable. Defaults to those they have.

    Returns:
        The new model, not compiled, and how each of its variables came from the old ones.
    """
    cloning = _Cloning(graph, keep, replace)
    model = cloning.model(graph.model)
    transfers = list(_transfers(graph, keep, cloning.pairs))
    factors = {id(each.variable): _factor(each, keep) for each in graph.rescales}
    for transfer in transfers:
        value = transfer.cut((values or {}).get(id(transfer.old), transfer.old.numpy()))
        transfer.new.assign(value * factors[id(transfer.old)] if id(transfer.old) in factors else value)
        if transfer.new.trainable != transfer.old.trainable:
            transfer.new.trainable = transfer.old.trainable
    for layer, copy in cloning.pairs:
        if layer is not copy:
            carry_state(layer, copy)
    return model, transfers


def silence(graph: ChannelGraph, keep: np.ndarray, values: dict | None = None) -> tuple[keras.Model, list[Transfer]]:
    """Builds a copy of a model at full size, in which units that are not kept have no effect.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.
        values: As for `rebuild`.

    Returns:
        The copy, not compiled, and how each of its variables came from the old ones.
    """
    values = dict(values or {})
    for variable in {id(slot.variable): slot.variable for slot in graph.slots if slot.role == "consumes"}.values():
        value = values.get(id(variable), keras.ops.convert_to_numpy(variable))
        values[id(variable)] = silent_value(graph, keep, variable, value)
    return rebuild(graph, np.ones(graph.num_units, bool), functools.partial(silent_twin, graph, keep), values)


class _Cloning:
    """Copies operations and models, each once, with config entries and constants cut."""

    def __init__(self, graph, keep, replace):
        self.graph = graph
        self.keep = keep
        self.replace = replace
        self.pairs = []
        self._resizes = defaultdict(list)
        for resize in graph.resizes:
            change = functools.partial(_resized, resize=resize, keep=keep)
            self._resizes[id(resize.layer)].append((resize.entry, change))
        self._arguments = defaultdict(list)
        for (output, argument, axis), units in graph.constants.items():
            cut = functools.partial(_cut_constant, axis=axis, kept=kept_positions(units, keep))
            self._arguments[output].append((argument, cut))
        for (output, argument), units in graph.positions.items():
            move = functools.partial(_move_positions, kept=kept_positions(units, keep), size=len(units))
            self._arguments[output].append((argument, move))
        self._copies = {}

    def model(self, model):
        """Returns a copy of a model, its input layers under their own names."""
        return copy_of(model, self._smaller, lambda layer: [self._copy(layer)], self._call)

    def _call(self, node, inputs, args, kwargs):
        """Calls the copy of a node's operation."""
        for argument, change in self._arguments[id(node.outputs[0])]:
            first, *_ = path = argument if isinstance(argument, tuple) else (argument,)
            if isinstance(first, int):
                args = _changed(args, path, change)
            else:
                kwargs = _changed(kwargs, path, change)
        return self._copy(node.operation)(*args, **kwargs)

    def _copy(self, operation):
        """Returns the copy of an operation, or of a model inside the model."""
        if id(operation) not in self._copies:
            if is_graph(operation) and find_rule(operation) is None:
                self._copies[id(operation)] = self.model(operation)
            else:
                self._copies[id(operation)] = self._smaller(operation)
                self.pairs.append((operation, self._copies[id(operation)]))
        return self._copies[id(operation)]

    def _smaller(self, operation):
        return remade(operation, self._resizes[id(operation)], self.replace)


def remade(operation, changes=(), replace=lambda layer, config: None):
    """Returns an operation made anew from its config.

    Args:
        operation: The operation; one of `keras.ops` that Keras cannot copy is returned as it is.
        changes: Pairs of an entry of the config, as a tuple of keys, and the function from it to what replaces it.
        replace: As in `rebuild`.

    Raises:
        UnsupportedLayerError: If that is not possible.
    """
    config = config_of(operation)
    if config is None:
        return operation
    config = _unbuilt(config)
    for entry, change in changes:
        try:
            config = _changed(config, entry, change)
        except (LookupError, TypeError) as error:
            raise UnsupportedLayerError(
                f"The rule of {type(operation).__name__} counts units in the entry {entry} of the config of layer "
                f"'{operation.name}'. Expected one of {sorted(config)}, and numbers in it. Correct the rule, or the "
                "layer's `get_config`."
            ) from error
    copy = replace(operation, config)
    return made_from(config, operation) if copy is None else copy


def _unbuilt(config):
    """Returns a nested config without the shapes that the layers inside the layer were built for."""
    if isinstance(config, dict):
        is_layer = "class_name" in config
        return {key: _unbuilt(value) for key, value in config.items() if not (is_layer and key == "build_config")}
    return type(config)(map(_unbuilt, config)) if type(config) in (list, tuple) else config


def _changed(nested, path, change):
    """Returns a nested structure with the entry at a path replaced by `change(entry)`; the original stays."""
    if not path:
        return change(nested)
    key, *rest = path
    if isinstance(nested, dict):
        return {**nested, key: _changed(nested[key], rest, change)}
    return type(nested)([*nested[:key], _changed(nested[key], rest, change), *nested[key + 1 :]])


def _resized(entry, resize, keep):
    """Returns what is to stand in an entry of a config."""
    if resize.axis is None:
        return _count(resize.units, keep)
    return _cut_constant(entry, resize.axis, kept_positions(resize.units, keep)).tolist()


def _count(units, keep):
    """Returns how many positions survive, or a list of that for a tuple of arrays."""
    if isinstance(units, tuple):
        return [_count(each, keep) for each in units]
    return len(kept_positions(units, keep))


def _cut_constant(value, axis, kept):
    return np.take(np.asarray(value), kept, axis=axis)


def _move_positions(where, kept, size):
    """Returns where the same is found among the positions that are kept; of a list or an array, what is left."""
    place = np.searchsorted(kept, np.arange(size + 1))
    if isinstance(where, slice):
        ends = (None if end is None else int(place[slice(end).indices(size)[1]]) for end in (where.start, where.stop))
        return slice(*ends, where.step)
    where = np.asarray(where) % size
    moved = place[where] if where.ndim == 0 else place[where[np.isin(where, kept)]]
    return moved.tolist()


def _factor(rescale, keep):
    return rescale.scale(len(rescale.units)) / rescale.scale(len(kept_positions(rescale.units, keep)))


def _transfers(graph, keep, pairs):
    slots = defaultdict(list)
    for slot in graph.slots:
        slots[id(slot.variable)].append(slot)
    for old_layer, new_layer in pairs:
        for old, new in zip(*variables_of(old_layer, new_layer), strict=True):
            kept = {slot.axis: kept_positions(slot.units, keep) for slot in slots[id(old)]}
            yield Transfer(old, new, {axis: kept[axis] for axis in kept if len(kept[axis]) < old.shape[axis]})

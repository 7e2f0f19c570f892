"""From a model to its channel graph: visit every call, ask its rule, and resolve what was said."""

import dataclasses
from collections import defaultdict

import keras
import numpy as np

from keras_slim.errors import did_you_mean
from keras_slim.graph import rules  # noqa: F401  (fills the table)
from keras_slim.graph.call import LayerCall, Record
from keras_slim.graph.channel_graph import ChannelGraph, Group, Rescale, Resize, Site, Slot, Whole
from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.connected import components
from keras_slim.graph.nodes import check_graph, is_graph, walk
from keras_slim.graph.own_activations import speak_against_functions
from keras_slim.graph.registry import find_rule
from keras_slim.validation import check_names

TIED_TO_WHOLE = "tied to channels that are never cut"
MODEL_OUTPUT = "its units are a model output"


def analyse(model, ignore=(), owner="analyse", *, batch=None):
    """Finds which units of a model can be removed, and what must go with each.

    Args:
        model: A built Functional or Sequential model.
        ignore: Names of layers whose units are to be left alone; that of a model inside stands for all its layers.
        owner: Name of the function that was given the model, for error messages.
        batch: Function of no argument that returns a batch of the model's inputs, flat, or `None`. Functions of which
            nothing is known are tried on what the model gives them then. Optional.

    Returns:
        The `ChannelGraph`.

    Raises:
        UnsupportedLayerError: If the model is subclassed, so that its graph cannot be seen.
        ValueError: If the model is not built, or `ignore` names a layer that it does not have.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
    >>> [(group.name, group.size) for group in analyse(model).groups]
    [('hidden', 8)]
    """
    check_graph(model, owner)
    ignore = check_names(ignore, "ignore", owner)
    trace, outputs = _traced(model)
    if batch is not None and speak_against_functions(model, batch):
        trace, outputs = _traced(model)
    record = trace.record
    _keep_on_request(record, ignore, trace.paths)
    for channels in outputs:
        atoms = channels.all()
        record.wholes.append((atoms[atoms != WHOLE], None, MODEL_OUTPUT))
    return _resolve(model, trace)


def _traced(model):
    """Returns a pass over a model, and the channels of its outputs."""
    trace = Trace()
    return trace, trace.model(model, [Channels(tuple(tensor.shape)) for tensor in model.inputs])


class Trace:
    """One pass over a model and the models inside it, asking the rule of each call."""

    def __init__(self):
        self.record = Record()
        self.nodes = []
        self.channels = {}
        self.paths = set()

    def model(self, model, inputs, prefix=""):
        """Returns the channels of a model's outputs, given those of its inputs, both flat."""
        self.channels.update(
            {id(tensor): _of_shape(given, tensor.shape) for tensor, given in zip(model.inputs, inputs, strict=True)}
        )
        for node in walk(model):
            if isinstance(node.operation, keras.layers.InputLayer):
                self._resize_input(node, prefix)
            else:
                self.nodes.append(node)
                for tensor, output in zip(node.outputs, self.call(node, prefix), strict=True):
                    self.channels[id(tensor)] = output
        return [self.channels[id(tensor)] for tensor in model.outputs]

    def _resize_input(self, node, prefix):
        """States that an input layer inside the model is as wide as what it is given, at every call the same."""
        (tensor,) = node.outputs
        for axis in [axis for axis, size in enumerate(tensor.shape) if size is not None]:
            atoms, key = self.channels[id(tensor)].along(axis), (id(node.operation), ("batch_shape", axis))
            *_, known = self.record.resizes.setdefault(key, (node.operation, key[1], atoms))
            self.record.ties.append((known, atoms, prefix + node.operation.name))

    def call(self, node, prefix):
        """Returns the channels of a call's outputs, one `Channels` each."""
        path = prefix + node.operation.name
        self.paths.add(path)
        call = LayerCall(node, path, [self.channels[id(tensor)] for tensor in node.inputs], self.record)
        if is_graph(node.operation) and find_rule(node.operation) is None:
            number = len(node.operation.inputs)
            for channels in call.inputs[number:]:
                call.keep_whole(channels, "they make up a mask for a model inside")
            return self.model(node.operation, call.inputs[:number], f"{path}/")
        return call.ask_rule()


def _of_shape(channels, shape):
    """Returns channels with the sizes that an input of a model tells and what it is given leaves open."""
    sizes = zip(channels.shape, shape, strict=True)
    return Channels(tuple(two if one is None else one for one, two in sizes), channels.axes)


def _keep_on_request(record, ignore, paths):
    unknown = [name for name in ignore if name not in paths]
    if unknown:
        hint = did_you_mean(unknown[0], paths)
        raise ValueError(
            f"`ignore` names layers that the model does not have: {unknown}. Layers: {sorted(paths)}. {hint}".strip()
        )
    for _, path, _, first, count in record.producers.values():
        if any(path == name or path.startswith(f"{name}/") for name in ignore):
            record.wholes.append((np.arange(first, first + count), path, "ignored on request"))


def _resolve(model, trace):
    """Turns atoms and ties into numbered units."""
    record = trace.record
    producers = list(record.producers.values())
    root = roots(record)
    is_whole = np.zeros(record.num_atoms, bool)
    for atoms, _, _ in record.wholes:
        is_whole[root[atoms]] = True
    families = _families(record, producers, root)
    groups, number = _number(record, producers, root, is_whole, families)
    table = np.append(number[root], WHOLE) if len(root) else np.array([WHOLE])

    def units(atoms):
        return table[np.asarray(atoms, int)]

    producers = [producer for producer in producers if producer not in record.followers]
    return ChannelGraph(
        model=model,
        groups=groups,
        whole=_wholes(record, producers, root, is_whole, families),
        slots=tuple(
            Slot(layer, variable, axis, role, units(atoms))
            for layer, variable, axis, role, atoms in record.weights.values()
        ),
        resizes=tuple(
            Resize(layer, entry, tuple(map(units, atoms)) if isinstance(atoms, tuple) else units(atoms), *axis)
            for layer, entry, atoms, *axis in (*record.resizes.values(), *record.arrays.values())
        ),
        constants={key: units(atoms) for key, atoms in record.constants.items()},
        positions={key: units(atoms) for key, atoms in record.positions.items()},
        statistics={key: units(atoms) for key, atoms in record.statistics.items() if (units(atoms) != WHOLE).any()},
        rescales=tuple(Rescale(variable, units(atoms), scale) for variable, atoms, scale in record.rescales.values()),
        sites=tuple(
            Site(tensor, axis, units(atoms))
            for tensor, axis, atoms in _sites(trace, producers, root)
            if (units(atoms) != WHOLE).any()
        ),
        readings=tuple(
            dataclasses.replace(reading, units=units(reading.units))
            for reading in record.readings.values()
            if (units(reading.units) != WHOLE).any()
        ),
        layers={
            name: kept
            for producer in producers
            for (name,), kept in [(_names([producer]), _real(units(_atoms(producer))))]
            if len(kept)
        },
        tensors={
            tensor: axes
            for tensor, channels in trace.channels.items()
            for axes in [{axis: units(atoms) for axis, atoms in channels.axes.items()}]
            if any((numbers != WHOLE).any() for numbers in axes.values())
        },
    )


def _atoms(producer):
    *_, first, count = producer
    return np.arange(first, first + count)


def _real(units):
    """Returns the units of an axis, each once, ascending."""
    return np.unique(units[units != WHOLE])


def roots(record):
    """Returns the smallest atom each atom is tied to; what is tied to no atom becomes whole."""
    first, second = [np.zeros(0, int)], [np.zeros(0, int)]
    for left, right, _ in record.ties:
        loose = np.concatenate([left[right == WHOLE], right[left == WHOLE]])
        if (loose != WHOLE).any():
            record.wholes.append((loose[loose != WHOLE], None, TIED_TO_WHOLE))
        both = (left != WHOLE) & (right != WHOLE)
        first.append(left[both])
        second.append(right[both])
    return components(record.num_atoms, np.concatenate(first), np.concatenate(second))


def _families(record, producers, root):
    """Returns lists of producers that share a unit, directly or through others, in order; without those that follow."""
    if not len(root):
        return []
    owner = np.repeat(np.arange(len(producers)), [count for *_, count in producers])
    members = defaultdict(list)
    for producer, head in enumerate(components(len(producers), owner, owner[root])):
        if producers[producer] not in record.followers:
            members[int(head)].append(producers[producer])
    return list(members.values())


def _unit_roots(members, root):
    """Returns the root atoms of the units of some producers, ascending."""
    return np.unique(root[np.concatenate([_atoms(member) for member in members])])


def _names(members):
    """Returns the paths of producers, each once; a part that is not the layer's output is named behind it."""
    return tuple(dict.fromkeys(path if part == "output" else f"{path}:{part}" for _, path, part, *_ in members))


def _number(record, producers, root, is_whole, families):
    """Returns the groups, and the number of the unit that each root atom stands for."""
    groups, number, first = [], np.full(record.num_atoms, WHOLE), 0
    meetings = _meetings(record, producers)
    for members in families:
        units = _unit_roots(members, root)
        units = units[~is_whole[units]]
        if len(units):
            names = _names(members)
            together = members if len(members) > 1 else ()
            tied_by = dict.fromkeys(path for member in together for path in meetings[member])
            groups.append(Group(names[0], names, first, len(units), tuple(tied_by)))
            number[units] = np.arange(first, first + len(units))
            first += len(units)
    return tuple(groups), number


def _meetings(record, producers):
    """Returns the paths of the calls that tie a producer's atoms to those of others, in order, by producer."""
    owner = np.repeat(np.arange(len(producers)), [count for *_, count in producers])
    meetings = defaultdict(list)
    for left, right, path in record.ties:
        both = (left != WHOLE) & (right != WHOLE)
        first, second = owner[left[both]], owner[right[both]]
        for index in np.unique([first[first != second], second[first != second]]):
            meetings[producers[index]].append(path)
    return meetings


def _wholes(record, producers, root, is_whole, families):
    """Returns what has no unit to cut: families of producers, and layers without a rule."""
    found = []
    for members in families:
        roots = _unit_roots(members, root)
        if is_whole[roots].all():
            paths = {path for _, path, *_ in members}
            reasons = dict.fromkeys(
                reason if path is None or path in paths else f"{reason} ({path})"
                for atoms, path, reason in record.wholes
                if np.isin(root[atoms], roots).any()
            )
            found.append(Whole(_names(members), (MODEL_OUTPUT,) if MODEL_OUTPUT in reasons else tuple(reasons)))
    named = {name for whole in found for name in whole.layers}
    found += [Whole((path,), (why,)) for path, why in record.unsupported.items() if path not in named]
    return tuple(found)


def _sites(trace, producers, root):
    """Yields the tensors that hold the final activation of each producer, with their channel axis and atoms, each once.

    Starting at the producer's output, the walk goes on as long as one call alone reads the tensor and hands the same
    units on in the same shape: through batch norm, sums and activations, up to a pooling, a branch or a weight.
    Channels that never leave their layer (the heads of an attention) have no such tensor.
    """
    readers = defaultdict(list)
    outputs = defaultdict(list)
    for node in trace.nodes:
        outputs[id(node.operation)].append(node.outputs[0])
        for tensor in node.inputs:
            readers[id(tensor)].append(node)
    seen = set()
    for layer, _, _, first, _ in producers:
        for tensor in outputs[id(layer)]:
            axes = trace.channels[id(tensor)].axes
            axis = next((axis for axis, atoms in axes.items() if first in atoms), None)
            if axis is not None:
                tensor = _last_alike(tensor, axis, readers, trace.channels, root)
                if (id(tensor), axis) not in seen:
                    seen.add((id(tensor), axis))
                    yield tensor, axis, trace.channels[id(tensor)].axes[axis]


def _last_alike(tensor, axis, readers, channels, root):
    """Returns the last tensor, from one on, that a single reader each hands on with the same units."""
    units = root[channels[id(tensor)].axes[axis]]
    while len(readers[id(tensor)]) == 1:
        (node,) = readers[id(tensor)]
        after = channels[id(node.outputs[0])].axes.get(axis, np.zeros(0, int))
        is_alike = (node.outputs[0].shape, node.outputs[0].dtype) == (tensor.shape, tensor.dtype)
        if not is_alike or (after == WHOLE).any() or not np.array_equal(root[after], units):
            break
        tensor = node.outputs[0]
    return tensor

"""From a model to its channel graph: visit every call, ask its rule, and resolve what was said."""

from collections import defaultdict

import numpy as np

from keras_slim.graph import rules  # noqa: F401  (fills the table)
from keras_slim.graph.call import LayerCall, Record
from keras_slim.graph.channel_graph import ChannelGraph, Group, Producer, Resize, Slot, Whole
from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.connected import components
from keras_slim.graph.nodes import walk
from keras_slim.graph.registry import find_rule

TIED_TO_WHOLE = "tied to channels that are never cut"
MODEL_OUTPUT = "its units are a model output"


def analyse(model, ignore=()):
    """Finds which units of a model can be removed, and what must go with each.

    Args:
        model: A built Functional or Sequential model.
        ignore: Names of layers whose units are to be left alone.

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
    nodes = walk(model)
    record, channels = _trace(nodes)
    _keep_on_request(record, ignore, {node.operation.name for node in nodes})
    for tensor in model.outputs:
        atoms = channels[id(tensor)].all()
        record.wholes.append((atoms[atoms != WHOLE], None, MODEL_OUTPUT))
    return _resolve(model, nodes, record, channels)


def _trace(nodes):
    """Returns what the rules state, and the channels of every tensor by its id."""
    record, channels = Record(), {}
    for node in nodes:
        call = LayerCall(node, [channels[id(tensor)] for tensor in node.inputs], record)
        for tensor, output in zip(node.outputs, _outputs(call), strict=True):
            channels[id(tensor)] = output
    return record, channels


def _outputs(call):
    """Returns the channels of a call's outputs, one `Channels` each."""
    if not call.inputs:
        return [Channels(shape) for shape in call.output_shapes]
    rule = find_rule(call.layer)
    if rule is None:
        return call.keep_inputs_whole(f"{type(call.layer).__name__} has no rule")
    outputs = rule(call)
    return [outputs] if isinstance(outputs, Channels) else outputs


def _keep_on_request(record, ignore, names):
    unknown = sorted(set(ignore) - names)
    if unknown:
        raise ValueError(f"`ignore` names layers that the model does not have: {unknown}. Layers: {sorted(names)}.")
    for layer, first, count in record.producers:
        if layer.name in ignore:
            record.wholes.append((np.arange(first, first + count), layer.name, "ignored on request"))


def _resolve(model, nodes, record, channels):
    """Turns atoms and ties into numbered units."""
    root = _roots(record)
    is_whole = np.zeros(record.num_atoms, bool)
    for atoms, _, _ in record.wholes:
        is_whole[root[atoms]] = True
    family = _families(record, root)
    groups, number = _number(record, root, is_whole, family)
    to_units = _translator(number, root)
    sites = _sites(nodes, record, channels, root)
    return ChannelGraph(
        model=model,
        groups=groups,
        whole=_wholes(record, root, is_whole, family),
        slots=tuple(
            Slot(layer, variable, axis, role, to_units(atoms))
            for layer, variable, axis, role, atoms in record.weights.values()
        ),
        resizes=tuple(
            Resize(layer, name, index, to_units(atoms)) for layer, name, index, atoms in record.resizes.values()
        ),
        producers=tuple(
            Producer(layer, to_units(np.arange(first, first + count)), site, to_units(atoms), axis)
            for (layer, first, count), (site, axis, atoms) in zip(record.producers, sites, strict=True)
            if not is_whole[root[first : first + count]].all()
        ),
    )


def _roots(record):
    """Returns the smallest atom each atom is tied to; what is tied to no atom becomes whole."""
    first, second = [np.zeros(0, int)], [np.zeros(0, int)]
    for left, right in record.ties:
        loose = np.concatenate([left[right == WHOLE], right[left == WHOLE]])
        if (loose != WHOLE).any():
            record.wholes.append((loose[loose != WHOLE], None, TIED_TO_WHOLE))
        both = (left != WHOLE) & (right != WHOLE)
        first.append(left[both])
        second.append(right[both])
    return components(record.num_atoms, np.concatenate(first), np.concatenate(second))


def _families(record, root):
    """Returns for each producer the first producer it shares a unit with, directly or through others."""
    owner = np.repeat(np.arange(len(record.producers)), [count for _, _, count in record.producers])
    return components(len(record.producers), owner, owner[root]) if len(owner) else np.zeros(0, int)


def _members(family):
    """Returns the producers of each family, in order."""
    members = defaultdict(list)
    for producer, head in enumerate(family):
        members[int(head)].append(producer)
    return list(members.values())


def _atoms(record, members):
    return np.concatenate([np.arange(record.producers[m][1], sum(record.producers[m][1:])) for m in members])


def _number(record, root, is_whole, family):
    """Returns the groups, and the number of the unit that each root atom stands for."""
    groups, number, first = [], np.full(record.num_atoms, WHOLE), 0
    for members in _members(family):
        units = np.unique(root[_atoms(record, members)])
        units = units[~is_whole[units]]
        if len(units):
            names = tuple(record.producers[member][0].name for member in members)
            groups.append(Group(names[0], names, first, len(units)))
            number[units] = np.arange(first, first + len(units))
            first += len(units)
    return tuple(groups), number


def _translator(number, root):
    """Returns the function from atoms to units."""
    table = np.append(number[root], WHOLE) if len(root) else np.array([WHOLE])
    return lambda atoms: table[np.asarray(atoms, int)]


def _wholes(record, root, is_whole, family):
    """Returns what has no unit to cut: families of producers, and layers without a rule."""
    found = []
    for members in _members(family):
        roots = np.unique(root[_atoms(record, members)])
        if is_whole[roots].all():
            reasons = dict.fromkeys(
                reason if name is None or name in names else f"{reason} ({name})"
                for names in [{record.producers[member][0].name for member in members}]
                for atoms, name, reason in record.wholes
                if np.isin(root[atoms], roots).any()
            )
            if MODEL_OUTPUT in reasons:
                reasons = [MODEL_OUTPUT]
            found.append(Whole(tuple(record.producers[member][0].name for member in members), tuple(reasons)))
    named = {name for whole in found for name in whole.layers}
    found += [Whole((name,), (why,)) for name, why in record.unsupported.items() if name not in named]
    return tuple(found)


def _sites(nodes, record, channels, root):
    """Returns for each producer the tensor that holds its final activation, the channel axis, and the atoms on it.

    Starting at the producer's output, the walk goes on as long as one call alone reads the tensor and hands the same
    units on in the same shape: through batch norm, sums and activations, up to a pooling, a branch or a weight.
    """
    readers = defaultdict(list)
    for node in nodes:
        for tensor in node.inputs:
            readers[id(tensor)].append(node)
    first_call = {}
    for node in nodes:
        first_call.setdefault(id(node.operation), node)
    return [
        _site(first_call[id(layer)].outputs[0], first, readers, channels, root) for layer, first, _ in record.producers
    ]


def _site(tensor, first, readers, channels, root):
    axis = next(axis for axis, atoms in channels[id(tensor)].axes.items() if first in atoms)
    units = root[channels[id(tensor)].axes[axis]]
    while len(readers[id(tensor)]) == 1:
        (node,) = readers[id(tensor)]
        after = channels[id(node.outputs[0])].axes.get(axis, np.zeros(0, int))
        same_shape = node.outputs[0].shape == tensor.shape
        if not same_shape or (after == WHOLE).any() or not np.array_equal(root[after], units):
            break
        (tensor,) = node.outputs
    return tensor, axis, channels[id(tensor)].axes[axis]

"""What a rule sees of one call of one layer, and what it can say about it."""

from dataclasses import dataclass, field

import keras
import numpy as np

from keras_slim.graph.channel_graph import Reading
from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.closed import why_closed
from keras_slim.graph.handing_on import as_function, handed_on
from keras_slim.graph.inside_another import InsideAnother, joined, keys_of
from keras_slim.graph.nodes import Node
from keras_slim.graph.registry import find_rule, why_no_rule
from keras_slim.remaking import config_of

PRODUCES = "produces"
CONSUMES = "consumes"
FOLLOWS = "follows"
MEASURES = "measures"


@dataclass
class Record:
    """Everything the rules have stated about a model, in the order they stated it."""

    producers: dict = field(default_factory=dict)  # (id of layer, part) -> (layer, path, part, first atom, count)
    ties: list = field(default_factory=list)  # (atoms, atoms, path of the layer that says so)
    wholes: list = field(default_factory=list)  # (atoms, path of the layer that says so or None, reason)
    weights: dict = field(default_factory=dict)  # (id of variable, axis) -> (layer, variable, axis, role, atoms)
    resizes: dict = field(default_factory=dict)  # (id of layer, entry) -> (layer, entry, atoms)
    arrays: dict = field(default_factory=dict)  # (id of layer, entry, axis) -> (layer, entry, atoms, axis)
    constants: dict = field(default_factory=dict)  # (id of first output, argument, axis) -> atoms
    positions: dict = field(default_factory=dict)  # (id of first output, argument) -> atoms
    statistics: dict = field(default_factory=dict)  # (id of layer, argument or weight, axis of it) -> atoms
    followers: set = field(default_factory=set)  # of the producers, those whose channels are no units by themselves
    rescales: dict = field(default_factory=dict)  # id of variable -> (variable, atoms, scale)
    readings: dict = field(default_factory=dict)  # (id of variable, axis, part, id of tensor) -> Reading of atoms
    unsupported: dict = field(default_factory=dict)  # path of a layer -> reason
    num_atoms: int = 0


class LayerCall:
    """One call of one layer, and the verbs with which a rule describes it.

    An *atom* is one channel of one layer before anything is known of its couplings. Rules hand atoms on; what is tied
    together ends up as one unit.

    Args:
        node: The `Node` that is called.
        path: The layer's name, after those of the models it lies in.
        inputs: One `Channels` for each input tensor.
        record: Where statements are kept.
    """

    part = "output"
    """What the units that the layer puts out are called."""
    is_inside = False
    """Whether the layer lies in another one, which alone is called."""

    def __init__(self, node, path, inputs, record):
        self.layer = self.owner = node.operation
        self.node = node
        self.path = path
        self.inputs = inputs
        self.output_shapes = [tuple(tensor.shape) for tensor in node.outputs]
        self._record = record

    def argument(self, name, position):
        """Returns what the call was given as an argument, by name or by position, or `None`."""
        if name in self.node.kwargs:
            return self.node.kwargs[name]
        return self.node.args[position] if position < len(self.node.args) else None

    def channels_of(self, tensor):
        """Returns the channels of a tensor among the arguments; a constant has no units."""
        of = {id(each): channels for each, channels in zip(self.node.inputs, self.inputs, strict=True)}
        return of[id(tensor)] if id(tensor) in of else Channels(tuple(tensor.shape))

    def inner(self, layer, entry, inputs, output_shapes, part=None):
        """Asks the rule of a layer inside this one, and returns the channels of its outputs.

        Args:
            layer: The layer inside.
            entry: Keys that lead from the config of this layer to that of the one inside.
            inputs: One `Channels` for each tensor it is given: its input, then a list of states.
            output_shapes: The shape of each of its outputs.
            part: What the units that it puts out are called, if this layer does not put them out under its own name.

        Returns:
            List of `Channels`.
        """
        inputs = list(inputs)
        given = tuple(keras.KerasTensor(channels.shape) for channels in inputs)
        args = (*given[:1], list(given[1:])) if len(given) > 1 else given
        node = Node(layer, given, tuple(keras.KerasTensor(shape) for shape in output_shapes), args, {})
        return InnerCall(node, self, entry, inputs, part).ask_rule()

    def ask_rule(self):
        """Asks the rule of the layer, and returns the channels of the call's outputs, one `Channels` each."""
        rule = find_rule(self.layer)
        if not isinstance(self.layer, keras.layers.Layer) and config_of(self.layer) is None:
            return self.keep_inputs_whole(
                f"{type(self.layer).__name__} was made from an array, which Keras cannot copy"
            )
        if rule is None:
            why = why_closed(self.layer)
            opened = f", and it cannot be opened: {why}" if why else ""
            return self._tried() or self.keep_inputs_whole(why_no_rule(self.layer) + opened)
        if getattr(self.layer, "lora_enabled", False):
            return self.keep_inputs_whole("it has low-rank adaptation weights beside its own")
        if getattr(self.layer, "quantization_mode", None):
            return self.keep_inputs_whole("`quantize` of Keras has changed its weights")
        try:
            outputs = rule(self)
        except Exception as error:
            error.add_note(f"This came from the rule of {type(self.layer).__name__}, asked about layer '{self.path}'.")
            raise
        outputs = [outputs] if isinstance(outputs, Channels) else outputs
        if not isinstance(outputs, list | tuple) or not self._fit(outputs):
            raise TypeError(
                f"The rule of {type(self.layer).__name__} does not return what layer '{self.path}' puts out. Expected "
                f"`Channels` for outputs of shape {self.output_shapes}, as `call.output` and `call.unchanged` make "
                f"them. Received: {outputs!r}. Correct the rule."
            )
        return list(outputs)

    def _fit(self, outputs):
        """Tells whether a rule returned one `Channels` for each output, of its rank."""
        ranks = [len(each.shape) if isinstance(each, Channels) else None for each in outputs]
        return ranks == [len(shape) for shape in self.output_shapes]

    def _tried(self):
        """Returns the channels of the output if the layer has no weights and is seen to hand units on, or `None`."""
        function = as_function(self.layer)
        has_units = any((channels.all() != WHOLE).any() for channels in self.inputs)
        if function is None or not has_units or not len(self.inputs) == len(self.output_shapes) == 1:
            return None
        axes, reason = handed_on(self, [function], held=self.layer)
        return None if reason else [self.output(axes)]

    def new_units(self, count, part="output"):
        """Returns the atoms of channels that the layer computes; the same ones at every call of a shared layer.

        Args:
            count: Number of channels.
            part: Which of the layer's channels, if it has more than those it puts out, e.g. `"heads"`.
        """
        key = (id(self.layer), part)
        if key not in self._record.producers:
            name = joined(self.part, part)
            self._record.producers[key] = (self.owner, self.path, name, self._record.num_atoms, count)
            self._record.num_atoms += count
        first, size = self._record.producers[key][-2:]
        return np.arange(first, first + size)

    def following(self, count, part="output"):
        """Returns the atoms of numbers that the layer has one of for each unit of another: by themselves they are none.

        Args:
            count: How many there are.
            part: As in `new_units`.
        """
        atoms = self.new_units(count, part)
        self._record.followers.add(self._record.producers[id(self.layer), part])
        return atoms

    def weight(self, variable, produces=None, consumes=None, follows=None, measures=None):
        """States which atoms run along the axes of a weight.

        Args:
            variable: The weight, or `None` (a bias that is not used): then nothing is stated.
            produces: From axis to atoms: what the layer computes along this axis are its own units.
            consumes: From axis to atoms: the layer sums over this axis, so a zero there removes the unit.
            follows: From axis to atoms: an element is applied to its own unit (a bias, a scale).
            measures: From axis to atoms: the layer sums over this axis how far units are from elements. A zero there
                does not remove the unit, so `statistics` is stated too.
        """
        if variable is None:
            return
        roles = {PRODUCES: produces, CONSUMES: consumes, FOLLOWS: follows, MEASURES: measures}
        for role, axes in roles.items():
            for axis, atoms in (axes or {}).items():
                self._bind(variable, axis % len(variable.shape), role, atoms)

    def _bind(self, variable, axis, role, atoms):
        if len(atoms) != variable.shape[axis]:
            raise ValueError(
                f"The rule of {type(self.layer).__name__} names {len(atoms)} channels along axis {axis} of "
                f"'{variable.path}', which has shape {tuple(variable.shape)}. Correct the rule."
            )
        key = (id(variable), axis)
        bound = self._record.weights.setdefault(key, (self.layer, variable, axis, role, atoms))
        self.tie(bound[-1], atoms)

    def constant(self, argument, axis, atoms):
        """States which atoms run along an axis of an array that the call was given as a constant.

        Args:
            argument: Where the array stands: position or name of the argument, then the place in it if that is a list.
            axis: The axis.
            atoms: One for each position along it.
        """
        key = (id(self.node.outputs[0]), argument, axis)
        self.tie(self._record.constants.setdefault(key, atoms), atoms)

    def positions(self, argument, atoms):
        """States that a constant argument (a number, a slice, a list or an array) says where, among these atoms.

        Args:
            argument: Where it stands, as in `constant`.
            atoms: Those along the axis that it points into.
        """
        key = (id(self.node.outputs[0]), argument)
        self.tie(self._record.positions.setdefault(key, atoms), atoms)

    def resize(self, entry, atoms, index=None):
        """States that an entry of the layer's config is the number of these atoms.

        Args:
            entry: Key of `layer.get_config()`, e.g. `"filters"`; for an entry deeper in it, a tuple of keys.
            atoms: What is counted; a tuple of arrays if the entry is to be a list with the number in each.
            index: Position in the entry, if that is a sequence.
        """
        entry = keys_of(entry, index)
        *_, known = self._record.resizes.setdefault((id(self.layer), entry), (self.layer, entry, atoms))
        for first, second in zip(
            *(each if isinstance(each, tuple) else (each,) for each in (known, atoms)), strict=True
        ):
            self.tie(first, second)

    def array(self, entry, axis, atoms):
        """States that an array in the layer's config runs along these atoms.

        Args:
            entry: Key of `layer.get_config()`, as in `resize`, of a list, or of what Keras makes of an array.
            axis: Non-negative axis of the array.
            atoms: One for each position along it.
        """
        key = (id(self.layer), keys_of(entry, None), axis)
        _, _, known, _ = self._record.arrays.setdefault(key, (self.layer, key[1], atoms, axis))
        self.tie(known, atoms)

    def statistics(self, axis, atoms, leaf=0):
        """States that the layer computes statistics over an axis: a zero along it does not remove a unit.

        Where units are masked, a twin of the layer takes its place that leaves them out; see
        `keras_slim.layers.masked.twin_of`. State it at every call: another one of the layer may have other units there,
        or none.

        Args:
            axis: Non-negative axis of the input.
            atoms: One for each position along it.
            leaf: Which of the call's arguments is the input, once they are laid out flat; or the name of a weight, of
                which the layer computes statistics.
        """
        known = self._record.statistics.setdefault((id(self.layer), leaf, axis), atoms)
        if len(known) == len(atoms):
            self.tie(known, atoms)
        else:
            for each in (known, atoms):
                self.keep_whole(each, "it is called on different numbers of channels")

    def rescale(self, variable, atoms, scale):
        """States that the layer multiplies by a number that follows from how many atoms there are.

        A weight has to undo the change of that number: it is multiplied by `scale(all) / scale(kept)`.

        Args:
            variable: The weight, or `None` for nothing.
            atoms: What is counted.
            scale: Function from how many there are to what the layer multiplies by.
        """
        if variable is not None:
            self._record.rescales[id(variable)] = (variable, atoms, scale)

    def linear(
        self, variable, axis, atoms, bias=None, *, tensor=None, groups=1, through=None, read=None, output_axis=None
    ):
        """States that the layer sums an input times a weight over an axis: then kept units can stand in for others.

        Args:
            variable: The weight.
            axis: The axis of the weight that is summed over.
            atoms: What runs along the axis of the input that is summed over, as the input gave it.
            bias: What is added to the sum, which can take what is constant in a unit. Optional.
            tensor: The input, if there are several.
            groups: Number of groups the input is divided into, each read by as many positions of the last axis.
            through: Function from the input to what is really summed, if the layer does something to it first.
            read: What runs along the axis after `through`. Defaults to `atoms`.
            output_axis: The axis of the layer's output with one sum at each position, if the sums are what it puts
                out: then a batch normalization that follows can take what is constant, where there is no bias.
        """
        places = [each for each in self._inputs_with(atoms) if tensor is None or each[0] is tensor]
        if len(places) != 1:  # they never leave the layer, or there is no telling which input is meant
            return
        ((tensor, tensor_axis),) = places
        output = None if output_axis is None else self._output()
        axis %= len(variable.shape)
        of_group = np.split(np.asarray(atoms if read is None else read), groups)
        width = variable.shape[-1] // groups
        for group, read_by_group in enumerate(of_group):
            part = slice(group * width, (group + 1) * width) if groups > 1 else slice(None)
            positions = slice(group * len(read_by_group), (group + 1) * len(read_by_group))
            reading = Reading(
                *(variable, axis, part, bias, output, output_axis),
                *(tensor, tensor_axis, positions, through, read_by_group),
            )
            self._record.readings[id(variable), axis, group, id(tensor)] = reading

    def distance(self, variable, axis, atoms, bias=None, *, output_axis):
        """States that the layer puts out how far an input is from a weight, summed over an axis.

        No unit can stand in for another then, but what a unit adds on average can be put elsewhere.

        Args:
            variable: The weight.
            axis: The axis of the weight that is summed over.
            atoms: What runs along the axis of the input that is summed over.
            bias: What is added to the sum. Optional.
            output_axis: The axis of the output with one sum at each position.
        """
        output, axis = self._output(), axis % len(variable.shape)
        place = output, output_axis, slice(0, output.shape[output_axis]), None, np.asarray(atoms)
        reading = Reading(variable, axis, slice(None), bias, output, output_axis, *place, is_distance=True)
        self._record.readings[id(variable), axis, id(output)] = reading

    def remembered(self, variable, axis, atoms, channels, states, states_axis):
        """States that the layer sums what it remembers of its own units times a weight over an axis.

        Args:
            variable: The weight.
            axis: The axis of the weight that is summed over.
            atoms: The units.
            channels: The `Channels` of the input from which what is remembered follows.
            states: Function from that input to all that is remembered.
            states_axis: The axis of the units in it.
        """
        tensor = self._tensor_of(channels)
        if tensor is not None:
            source = tensor, states_axis, slice(0, len(atoms)), states, np.asarray(atoms)
            reading = Reading(variable, axis % len(variable.shape), slice(None), *[None] * 3, *source, True)
            self._record.readings[id(variable), axis, id(tensor)] = reading

    def _tensor_of(self, channels):
        """Returns the input whose channels these very ones are, or `None`."""
        pairs = zip(self.node.inputs, self.inputs, strict=True)
        return next((tensor for tensor, each in pairs if each is channels), None)

    def _inputs_with(self, atoms):
        """Returns the tensors, and their axes, from which a rule may have taken these very atoms."""
        found = {
            (id(tensor), axis): (tensor, axis)
            for tensor, channels in zip(self.node.inputs, self.inputs, strict=True)
            for axis, each in channels.axes.items()
            if each is atoms
        }
        return [*found.values()]

    def _output(self):
        return self.node.outputs[0]

    def tie(self, first, second):
        """States that the atoms at equal positions of two arrays must go together."""
        if first is not second:
            self._record.ties.append((np.asarray(first), np.asarray(second), self.path))

    def tie_all(self, atoms):
        """States that all these atoms must go together, and returns one that stands for them."""
        atoms = np.asarray(atoms)
        self.tie(atoms[:-1], atoms[1:])
        return atoms[0]

    def keep_whole(self, channels, reason):
        """States that channels (a `Channels`, or atoms) can never be cut, and why."""
        atoms = channels.all() if isinstance(channels, Channels) else np.asarray(channels)
        self._record.wholes.append((atoms[atoms != WHOLE], self.path, reason))

    def keep_inputs_whole(self, reason):
        """States that no input can be cut, and returns outputs without units: the rule of what has no rule."""
        for channels in self.inputs:
            self.keep_whole(channels, reason)
        if getattr(self.layer, "weights", ()) or any((each.all() != WHOLE).any() for each in self.inputs):
            self._record.unsupported[self.path] = reason  # else nothing is lost
        return [Channels(shape) for shape in self.output_shapes]

    def output(self, axes, index=0):
        """Returns the channels of an output: a mapping from axis (negative ones count from the end) to atoms."""
        shape = self.output_shapes[index]
        return Channels(shape, {axis % len(shape): np.asarray(atoms) for axis, atoms in axes.items()})

    def unchanged(self):
        """Returns the channels of the only input, as those of an output with the same axes."""
        return Channels(self.output_shapes[0], self.inputs[0].axes)


class InnerCall(InsideAnother, LayerCall):
    """The call of a layer inside another one."""


class FunctionCall(LayerCall):
    """The call of an operation inside a function, which a copy of the layer around calls as it is.

    So nothing in it is counted anew: whether it finds the numbers right by itself has to be tried.
    """

    def constant(self, argument, axis, atoms):
        """States nothing."""

    def positions(self, argument, atoms):
        """States nothing."""

    def resize(self, entry, atoms, index=None):
        """States nothing."""

    def statistics(self, axis, atoms, *where, **options):
        self.keep_whole(atoms, "a function computes statistics over them")

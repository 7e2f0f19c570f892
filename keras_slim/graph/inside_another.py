"""What rules say of a layer inside another layer, which alone is called and copied."""

import keras

from keras_slim.graph.channels import Channels
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.registry import find_rule


class InsideAnother:
    """What is different about a `LayerCall` of a layer inside another one, whose config holds that of the layer inside.

    The rule of the layer inside is the one it has anywhere. What it says about config entries is recorded of the
    outermost layer, which is what gets copied.

    Args:
        node: The call, on stand-ins for the tensors.
        outer: The `LayerCall` of the layer around.
        entry: Keys that lead from the config of the layer around to that of the layer inside.
        inputs: As in `LayerCall`.
        part: As in `LayerCall.inner`.
    """

    def __init__(self, node, outer, entry, inputs, part):
        super().__init__(node, outer.path, inputs, outer._record)
        self.owner = outer.owner
        self.part = joined(outer.part, part or "output")
        self._outer = outer
        self._entry = entry

    is_inside = True

    def ask_rule(self):
        """Asks the rule of the layer; of a model, the rules of all that it calls."""
        if not is_graph(self.layer) or find_rule(self.layer) is not None:
            return super().ask_rule()
        model, config = self.layer, self.layer.get_config()
        places = {each["config"]["name"]: ("layers", index, "config") for index, each in enumerate(config["layers"])}
        channels = {id(tensor): given for tensor, given in zip(model.inputs, self.inputs, strict=False)}
        for axis, size in enumerate(config.get("build_input_shape") or ()):  # of a Sequential
            if size is not None:
                self.resize("build_input_shape", self.inputs[0].along(axis), index=axis)
        for node in walk(model):
            entry = places.get(node.operation.name)
            if isinstance(node.operation, keras.layers.InputLayer):
                self._resize_input(node, entry, channels[id(node.outputs[0])])
            else:
                given = [channels[id(tensor)] for tensor in node.inputs]
                outputs = type(self)(node, self, entry, given, node.operation.name).ask_rule()
                # Copies, since what a later layer reads is no input of the layer around, even of the same units.
                channels.update(zip(map(id, node.outputs), map(Channels.copy, outputs), strict=True))
        return [channels[id(tensor)] for tensor in model.outputs]

    def _resize_input(self, node, entry, channels):
        """States that an input layer of a model inside is as wide as what it is given."""
        for axis, size in enumerate(node.outputs[0].shape):
            if size is not None and entry is not None:
                self.resize((*entry, "batch_shape"), channels.along(axis), index=axis)

    def constant(self, argument, axis, atoms):
        self.keep_whole(atoms, "they meet a constant inside another layer")

    def positions(self, argument, atoms):
        self.keep_whole(atoms, "they are picked out inside another layer")

    def resize(self, entry, atoms, index=None):
        self._outer.resize((*self._entry, *keys_of(entry, index)), atoms)

    def array(self, entry, axis, atoms):
        self._outer.array((*self._entry, *keys_of(entry, None)), axis, atoms)

    def linear(self, variable, axis, atoms, bias=None, *, through=None, output_axis=None, **options):
        if through is None:  # such a function takes the tensors of the layer inside, which nobody holds
            super().linear(variable, axis, atoms, bias, **options)

    def distance(self, *args, **options):
        """States nothing: nobody holds the output of the layer inside."""

    def _inputs_with(self, atoms):
        return self._outer._inputs_with(atoms)

    def _tensor_of(self, channels):
        return self._outer._tensor_of(channels)

    def statistics(self, axis, atoms, leaf=0):
        self.keep_whole(atoms, f"{type(self.layer).__name__} inside another layer computes statistics over them")


def keys_of(entry, index):
    """Returns an entry of a config as a tuple of keys."""
    return (*((entry,) if isinstance(entry, str) else entry), *(() if index is None else (index,)))


def joined(outer, inner):
    """Returns the name of a part of a part."""
    return inner if outer == "output" else outer if inner == "output" else f"{outer}/{inner}"

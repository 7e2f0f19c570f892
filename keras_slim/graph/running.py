"""Computing a model call by call, so that each call can be watched or replaced."""

from collections import Counter, defaultdict

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError, in_short
from keras_slim.graph.endpoints import endpoints
from keras_slim.graph.masks import masked_like, set_mask
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.registry import find_rule


def run(model, inputs, call):
    """Computes a model's outputs, on values or on symbolic tensors, each call in the caller's hands.

    Args:
        model: A Functional or built Sequential model.
        inputs: Its inputs, flat; masks may be behind them, which count for nothing here.
        call: Function `(node, inputs, args, kwargs)` that computes what one call returns. `inputs` holds the values of
            the node's tensors, flat; `args` and `kwargs` are those of the node, with each tensor replaced by its value.

    Returns:
        The outputs, in the structure of the model's.
    """
    nodes = walk(model)
    readers = Counter(id(tensor) for tensors in (model.outputs, *(node.inputs for node in nodes)) for tensor in tensors)
    values = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=False)}
    for node in nodes:
        if not isinstance(node.operation, keras.layers.InputLayer):
            args, kwargs = keras.tree.map_structure(lambda leaf: values.get(id(leaf), leaf), (node.args, node.kwargs))
            given = [values[id(tensor)] for tensor in node.inputs]
            for number, mask in node.masks.items():
                set_mask(given[number], values.get(id(mask), mask))  # as Keras does, for the calls of the model inside
            outputs = keras.tree.flatten(call(node, given, args, kwargs))
            values.update({id(tensor): value for tensor, value in zip(node.outputs, outputs, strict=True)})
            readers.subtract(id(tensor) for tensor in node.inputs)
            for tensor in node.inputs:  # nobody holds longer than needed what may be large
                if not readers[id(tensor)]:
                    values.pop(id(tensor), None)
    return keras.tree.map_structure(lambda tensor: values[id(tensor)], endpoints(model)[1])


def called(operation, args, kwargs):
    """Returns what an operation makes of values.

    Raises:
        UnsupportedLayerError: If it fails on them; the message names it, and the line if that is the user's own.
    """
    try:
        return operation(*args, **kwargs)
    except (UnsupportedLayerError, MemoryError):
        raise
    except Exception as error:
        raise UnsupportedLayerError(
            f"Layer '{operation.name}' of class `{type(operation).__name__}` fails when it is called on this data: "
            f"{in_short(error)}. Expected a layer that runs as in `model(batch)`. {way_out(error)}"
        ) from error


def way_out(error) -> str:
    """Returns what to do about an error that came while a model ran."""
    if "Table not initialized" in str(error):
        return "Give it its vocabulary first: `layer.adapt(texts)`, or `layer.set_vocabulary(...)`."
    return "Correct the layer, or the data."


def copy_of(model, copied, layers, call):
    """Returns a copy of a model, a Sequential one if it is one, with its name and whether it is trained.

    Args:
        model: A Functional or built Sequential model.
        copied: Function from an input layer to its copy.
        layers: Function from a layer of a Sequential model to those in its place.
        call: As in `run`, on the symbolic tensors of the copy.
    """
    inputs = {
        id(node.outputs[0]): copied(node.operation).output
        for node in walk(model)
        if isinstance(node.operation, keras.layers.InputLayer)
    }
    if isinstance(model, keras.Sequential):
        stack = [copy for layer in model.layers for copy in layers(layer)]
        copy = keras.Sequential([inputs[id(model.inputs[0])], *stack], name=model.name)
    else:
        outputs = run(model, [inputs[id(tensor)] for tensor in model.inputs], call)
        structure = keras.tree.map_structure(lambda tensor: inputs[id(tensor)], model.input)
        copy = keras.Model(structure, outputs, name=model.name)
    if not model.trainable:
        copy.trainable = False
    return copy


class _EnoughSeen(Exception):  # noqa: N818
    """All that was wanted has been seen."""


def observed_run(model, inputs, wanted, number=None, change=None):
    """Runs a model and the models inside it, and keeps the values of some of their tensors.

    Args:
        model: The model.
        inputs: Its inputs, flat.
        wanted: Ids of symbolic tensors.
        number: How many values to keep before the run may end. Defaults to all there are.
        change: Function from a wanted tensor and its value to what is kept, and gone on with, in its place.

    Returns:
        The outputs, or `None` if the run ended before, and a dictionary from the id of a tensor to its values, one for
        each time it was computed.
    """
    observed = defaultdict(list)

    def kept(tensors, values):
        values = [*values]
        for place, tensor in enumerate(tensors):
            if id(tensor) in wanted:
                if change is not None:
                    values[place] = masked_like(change(tensor, values[place]), values[place])
                observed[id(tensor)].append(values[place])
        if sum(map(len, observed.values())) == number:
            raise _EnoughSeen
        return values

    def call(node, given, args, kwargs):
        if is_graph(node.operation) and find_rule(node.operation) is None:
            outputs = run(node.operation, kept(node.operation.inputs, given), call)
        else:
            outputs = called(node.operation, args, kwargs)
        return kept(node.outputs, keras.tree.flatten(outputs))

    try:
        outputs = run(model, kept(model.inputs, inputs), call)
    except _EnoughSeen:
        outputs = None
    return outputs, dict(observed)


class KeptState:
    """A context that gives back their values to variables that looking at data may change: recurrent states, seeds.

    It may be entered again and again; the values are those when it was made.

    Args:
        model: The model.
    """

    def __init__(self, model):
        held = [*model.non_trainable_variables, *states_of(model.layers)]
        self._before = [(variable, keras.ops.convert_to_numpy(variable)) for variable in held]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for variable, value in self._before:
            variable.assign(value)

    def narrow(self):
        """Leaves alone from now on what the runs so far have not changed."""
        self._before = [
            (variable, value)
            for variable, value in self._before
            if not np.array_equal(keras.ops.convert_to_numpy(variable), value)
        ]


def has_states(layer):
    """Tells whether a layer remembers something from call to call."""
    return any(True for _ in states_of([layer]))


def states_of(layers):
    """Yields what stateful recurrent layers remember; Keras does not count it among their variables."""
    for layer in layers:
        inside = [getattr(layer, name, None) for name in ("forward_layer", "backward_layer")]
        yield from states_of([*filter(None, inside), *getattr(layer, "layers", ())])
        if getattr(layer, "stateful", False):
            yield from (state for state in keras.tree.flatten(getattr(layer, "states", ())) if state is not None)

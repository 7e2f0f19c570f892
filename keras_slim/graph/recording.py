"""What a layer's own code computes, as a list of calls.

A layer that holds layers, or computes with weights of its own, is called on symbolic tensors: then each layer inside,
and each operation of `keras.ops`, notes that it was called. The weights of its own are symbolic tensors meanwhile.

This is done twice: with `training` true and false, other values in all weights, and another number of samples. What
follows from `training` is left to whoever calls the model, and the number of samples is left open; anything else
that differs cannot be said as a list of calls.

Private names used: attributes of a layer in which it keeps its weights, found by what they hold; the method
`symbolic_call`, by which Keras asks a layer what it would put out; whether a variable is cast, `_autocast`. Checked on
Keras 3.15.1; `tests/graph/test_opening.py` fails when they move.
"""

import contextlib
import dataclasses
import functools
import inspect
import random
import warnings
from typing import Any

import keras
import numpy as np

from keras_slim.errors import SlimWarning, in_short
from keras_slim.graph.closed import is_closed
from keras_slim.graph.copying import copied
from keras_slim.graph.nodes import Node, calls_between, calls_of, is_graph
from keras_slim.held import PLAIN, layers_within, leaves_of
from keras_slim.layers.for_each_sample import ForEachSample
from keras_slim.layers.weight import Weight
from keras_slim.remaking import config_of

KEPT_BY_KERAS = ("_trainable_variables", "_non_trainable_variables", "_tracked", "_self_")
"""How the attributes begin in which Keras gathers the weights of a layer, wherever else it holds them."""

SAMPLES = 61, 67
"""How many go in, where any number may: primes that are hardly a factor of another size."""


class CannotRecordError(Exception):
    """What a layer computes cannot be said as a list of calls; the message says why, and where in its code."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """What a layer's own code computes.

    Args:
        nodes: Its calls, in order, on symbolic tensors.
        inputs: The symbolic tensors that went in, flat.
        weights: Pairs of a symbolic tensor and the variable of the layer's own that it stands for.
        outputs: What came out, in its structure.
    """

    nodes: list[Node]
    inputs: list[keras.KerasTensor]
    weights: list[tuple[keras.KerasTensor, keras.Variable]]
    outputs: Any


def record(layer: keras.layers.Layer, args: tuple, kwargs: dict) -> Recording:
    """Returns what a layer computes.

    Args:
        layer: A built layer.
        args: Positional arguments of the call, with a `keras.KerasTensor` in the place of each tensor.
        kwargs: Keyword arguments, likewise.

    Raises:
        CannotRecordError: If that cannot be said.
    """
    takes = zip((True, False), SAMPLES, strict=True)
    return _alike(*(_Take(layer, training, samples).of(args, kwargs) for training, samples in takes))


class _Called(keras.Operation):
    """Stands for a layer inside that was called on constants, of which Keras notes nothing."""

    def __init__(self, layer, outputs):
        super().__init__()
        self.layer = layer
        self.outputs = outputs

    def call(self, *args, **kwargs):
        raise NotImplementedError("it only notes a call")

    def compute_output_spec(self, *args, **kwargs):
        return self.outputs


def _called(operation):
    return operation.layer if isinstance(operation, _Called) else operation


class _Take:
    """One call of a layer on symbolic tensors, with everything that its code calls noted.

    Args:
        layer: The layer.
        training: Whether it is called as in training; if not, its weights have other values.
        samples: How many samples go in.
    """

    def __init__(self, layer, training, samples):
        self.layer = layer
        self.training = training
        self.samples = samples
        self.inputs = []
        self.constants = []
        self.losses = []
        self._traced = []

    def of(self, args, kwargs):
        """Returns what was recorded, and the constants in it, as pairs of a symbolic tensor and an array."""
        layer = self.layer
        args, kwargs = keras.tree.map_structure(self._fresh, (args, kwargs))
        if "training" in inspect.signature(layer.call).parameters:
            kwargs["training"] = self.training  # a functional model passes it on to every layer, whatever it was given
        shifted = [] if self.training else [(each, each.value + _shift(each)) for each in _numbers(layer)]
        inside = [each for each in layers_within(layer) if each is not layer]
        graphs = [each for each in inside if is_graph(each)]  # each is one call: what it holds is opened by itself
        held = {id(each) for graph in graphs for each in layers_within(graph) if each is not graph}
        inside = [each for each in inside if id(each) not in held]
        with _calls_forgotten([layer, *inside]), contextlib.ExitStack() as stack:
            stack.enter_context(_as_they_were([layer, *inside]))
            weights = stack.enter_context(_symbolic_weights(layer))
            for each in filter(is_closed, inside):
                stack.enter_context(_symbolic_weights(each))
            scope = stack.enter_context(keras.StatelessScope(state_mapping=shifted))
            known = dict(scope.state_mapping)
            try:
                outputs = self._called(args, kwargs, inside)
            except Exception as error:
                raise CannotRecordError(in_short(error)) from error
            changed = [each for each in layer.variables if scope.state_mapping.get(id(each)) is not known.get(id(each))]
            leaves = tensors_in(outputs)
            calls = calls_between([], leaves)
        if changed:
            raise CannotRecordError(f"it changes its variable '{changed[0].path}' while it is called")
        given = [*self.inputs, *(tensor for tensor, _ in (*weights, *self.constants))]
        nodes = [
            dataclasses.replace(node, operation=_called(node.operation))
            for node in calls
            if not isinstance(node.operation, keras.layers.InputLayer)
        ]
        known = {id(tensor) for tensor in given}.union(id(tensor) for node in nodes for tensor in node.outputs)
        if not all(id(tensor) in known for node in nodes for tensor in node.inputs):
            raise CannotRecordError("it computes with a symbolic tensor from elsewhere")
        if self.losses or layer.activity_regularizer is not None:
            warnings.warn(
                f"What layer '{layer.name}' of class `{type(layer).__name__}` adds to the loss, by `add_loss` or a "
                "regularizer of its activity, is left out where its code is read. Add it to the loss of the model "
                "where that is trained.",
                SlimWarning,
                stacklevel=2,
            )
        return Recording(nodes, self.inputs, weights, outputs), self.constants

    def _fresh(self, leaf):
        if not isinstance(leaf, keras.KerasTensor):
            return leaf
        shape = [self.samples if axis == 0 and size is None else size for axis, size in enumerate(leaf.shape)]
        self.inputs.append(keras.Input(batch_shape=shape, dtype=leaf.dtype))
        return self.inputs[-1]

    def _called(self, args, kwargs, inside):
        """Returns what the code of the layer puts out, called by Keras as always: inputs cast, arguments filled in."""
        outputs = []

        def symbolic_call(*args, **kwargs):
            outputs.append(self.layer.call(*args, **kwargs))
            like = keras.tree.map_structure(_like, outputs[-1])  # Keras notes of these that the layer put them out
            return tensors_in(like)

        with contextlib.ExitStack() as stack:
            methods = {"symbolic_call": symbolic_call, "add_loss": self.losses.append}
            stack.enter_context(_replaced(self.layer, methods))
            for each in inside:
                if is_closed(each):
                    stack.enter_context(self._closed(each))
                elif each.variables:
                    stack.enter_context(_replaced(each, self._open(each)))
            self.layer(*args, **kwargs)
        return outputs[-1]

    @contextlib.contextmanager
    def _closed(self, layer):
        """Lets a layer note its calls; what it puts out is asked of its own code, and need not be tensors alone."""
        cls, call, structures = type(layer), layer.call, []

        def symbolic_call(*args, **kwargs):
            outputs = call(*args, **kwargs)
            structures.append(keras.tree.map_structure(_like, outputs))
            return tensors_in(structures[-1])

        def structured_call(self, *args, **kwargs):
            cls.__call__(self, *args, **kwargs)
            return structures.pop()

        methods = {"symbolic_call": symbolic_call, "call": self._on_constants(layer, call, symbolic_call)}
        methods["add_loss"] = _no_loss  # said when this layer itself is recorded
        with _replaced(layer, methods):
            object.__setattr__(layer, "__class__", type(cls.__name__, (cls,), {"__call__": structured_call}))
            try:
                yield
            finally:
                object.__setattr__(layer, "__class__", cls)

    def _open(self, layer):
        """Returns methods by which a layer notes also a call on constants, and tells sizes that Keras leaves open."""
        symbolic_call, spec = layer.symbolic_call, layer.compute_output_spec

        def noted(*args, **kwargs):
            self._traced.append(layer)
            try:
                return symbolic_call(*args, **kwargs)
            finally:
                self._traced.pop()

        def compute_output_spec(*args, **kwargs):
            try:
                outputs = spec(*args, **kwargs)
            except ValueError:  # of a model inside that was built for other sizes, and computes with these all the same
                return keras.Operation.compute_output_spec(layer, *args, **kwargs)
            known = tensors_in((args, kwargs))
            if any(None in each.shape for each in keras.tree.flatten(outputs)) and all(
                None not in each.shape for each in known
            ):
                return keras.Operation.compute_output_spec(layer, *args, **kwargs)
            return outputs

        call = self._on_constants(layer, layer.call, noted)
        return {"call": call, "symbolic_call": noted, "compute_output_spec": compute_output_spec}

    def _on_constants(self, layer, call, symbolic_call):
        """Returns a function that notes a call on arrays: what comes out follows from weights.

        While Keras asks what a layer puts out, it computes.
        """

        def symbol(leaf):
            if not _is_array(leaf):
                return leaf
            self.constants.append((keras.Input(batch_shape=leaf.shape, dtype=_dtype(leaf)), leaf))
            return self.constants[-1][0]

        @functools.wraps(call)  # some layers ask for the signature of those they wrap
        def noted(*args, **kwargs):
            if self._traced:
                return call(*args, **kwargs)
            args, kwargs = keras.tree.map_structure(symbol, (args, kwargs))
            outputs = symbolic_call(*args, **kwargs)
            _Called(layer, tensors_in(outputs))(*args, **kwargs)
            return outputs

        return noted


@contextlib.contextmanager
def _calls_forgotten(layers):
    """Lets layers forget the calls that are noted meanwhile: they would hold all layers that were called with them."""
    noted = calls_of(each for each in layers if each.built)
    lengths = [len(each) for each in noted]
    try:
        yield
    finally:
        for each, length in zip(noted, lengths, strict=True):
            del each[length:]


@contextlib.contextmanager
def _as_they_were(layers):
    """Gives layers back what they kept; refuses code that counts, or draws random numbers of Python or NumPy."""
    before = [(each, dict(vars(each))) for each in layers if each.built]
    drawn, comparable = (random.getstate(), np.random.get_state()), _drawn()
    try:
        yield
        for each, kept in before:
            for name, value in vars(each).items():
                if not name.startswith("_") and isinstance(value, PLAIN) and kept.get(name) != value:
                    raise CannotRecordError(f"it changes `{name}` of '{each.name}' while it is called")
        if comparable != _drawn():
            raise CannotRecordError("it draws random numbers of Python or NumPy")
    finally:
        random.setstate(drawn[0])
        np.random.set_state(drawn[1])
        for each, kept in before:
            vars(each).clear()
            vars(each).update(kept)


def _drawn():
    """Returns the states of the random numbers of Python and NumPy, as values that compare."""
    numpy = keras.tree.flatten(np.random.get_state())
    return random.getstate(), [each.tobytes() if isinstance(each, np.ndarray) else each for each in numpy]


@contextlib.contextmanager
def _replaced(layer, methods):
    """Gives a layer other methods."""
    before = {name: vars(layer)[name] for name in methods if name in vars(layer)}
    vars(layer).update(methods)
    try:
        yield
    finally:
        for name in methods:
            vars(layer).pop(name, None)
        vars(layer).update(before)


def tensors_in(structure) -> list[keras.KerasTensor]:
    """Returns the symbolic tensors in a structure, flat."""
    return [leaf for leaf in keras.tree.flatten(structure) if isinstance(leaf, keras.KerasTensor)]


def _no_loss(loss):
    """Takes what a layer adds to the loss."""


def _like(leaf):
    is_tensor = isinstance(leaf, keras.KerasTensor) or keras.ops.is_tensor(leaf) or isinstance(leaf, np.ndarray)
    return keras.KerasTensor(leaf.shape, _dtype(leaf)) if is_tensor else leaf


def _dtype(leaf):
    return keras.backend.standardize_dtype(leaf.dtype)


def _shift(variable):
    """Returns other numbers for each element of a variable, all positive: a variance stays one."""
    numbers = np.random.default_rng(len(variable.path)).integers(1, 5, variable.shape)
    return keras.ops.cast(numbers, variable.dtype)


def _numbers(layer):
    return [each for each in layer.variables if keras.backend.standardize_dtype(each.dtype) not in ("bool", "string")]


@contextlib.contextmanager
def _symbolic_weights(layer):
    """Puts symbolic tensors in the place of the weights of a layer's own; gives pairs of a tensor and its variable."""
    before = {
        name: value
        for name, value in vars(layer).items()
        if not name.startswith(KEPT_BY_KERAS) and any(isinstance(leaf, keras.Variable) for leaf in leaves_of(value))
    }
    tensors = {}

    def symbol(leaf):
        if not isinstance(leaf, keras.Variable):
            return leaf
        if id(leaf) not in tensors:
            is_cast = leaf._autocast and keras.backend.is_float_dtype(leaf.dtype)
            dtype = layer.compute_dtype if is_cast else _dtype(leaf)
            tensors[id(leaf)] = keras.Input(batch_shape=leaf.shape, dtype=dtype), leaf
        return tensors[id(leaf)][0]

    try:
        for name, value in before.items():
            vars(layer)[name] = keras.tree.map_structure(symbol, value)
        yield list(tensors.values())
    finally:
        vars(layer).update(before)


def _alike(first, second):
    """Returns what two recordings have in common, with `None` for what follows from `training`."""
    (first, constants), (second, others) = first, second
    if len(first.nodes) != len(second.nodes):
        raise CannotRecordError("which layers it calls depends on `training`, or on the values of its weights")
    partner = {}
    for one, other in zip(
        (*first.inputs, *(tensor for tensor, _ in first.weights)),
        (*second.inputs, *(tensor for tensor, _ in second.weights)),
        strict=True,
    ):
        partner[id(one)] = other
    nodes = []
    if len(constants) != len(others):
        raise CannotRecordError("what it computes with constants depends on `training`, or on values")
    for (tensor, one), (partner[id(tensor)], other) in zip(constants, others, strict=True):
        nodes.append(_constant(one, other, first.inputs, tensor))
    for one, other in zip(first.nodes, second.nodes, strict=True):
        node, before = _arguments(one, other, partner, first.inputs)
        nodes += before
        nodes.append(node if one.operation is other.operation else _of_any_number(node, other, first.inputs))
        partner.update({id(left): right for left, right in zip(one.outputs, other.outputs, strict=True)})

    def put_out(one, other):
        if isinstance(one, keras.KerasTensor):
            if partner.get(id(one)) is other:
                return one
        elif one is None and other is None:
            return None
        elif _is_array(one):
            nodes.append(_constant(one, other, first.inputs))
            return nodes[-1].outputs[0]
        raise CannotRecordError("what it puts out depends on `training`, or on the values of its weights")

    try:
        outputs = keras.tree.map_structure(put_out, first.outputs, second.outputs)
    except (ValueError, TypeError) as error:
        raise CannotRecordError("what it puts out depends on `training`") from error
    return dataclasses.replace(first, nodes=nodes, outputs=outputs)


def _constant(one, other, inputs, output=None):
    """Returns a call that puts out an array, the same in both recordings but for the number of samples."""
    try:
        one, other = (keras.ops.convert_to_numpy(each) for each in (one, other))
    except Exception as error:
        raise CannotRecordError("it computes with a tensor of a function that is being traced") from error
    output = keras.KerasTensor(one.shape, str(one.dtype)) if output is None else output
    if np.array_equal(one, other):
        variable = keras.Variable(one, dtype=str(one.dtype), trainable=False)
        return Node(Weight.of(variable, dtype=str(one.dtype)), (inputs[0],), (output,), (inputs[0],), {})
    if (len(one), len(other)) == SAMPLES and np.array_equal(one, np.repeat(other[:1], len(one), axis=0)):
        return _for_each_sample(one[:1], inputs, output)
    raise CannotRecordError(
        "an array in it depends on `training`, on the number of samples, or on the values of weights, such as those of "
        "a layer that it calls besides"
    )


def _of_any_number(node, other, inputs):
    """Returns the call of an operation for any number of samples, given that for another number."""
    if type(node.operation) is not type(other.operation) or getattr(node.operation, "variables", ()):
        raise CannotRecordError(f"whether it calls '{node.operation.name}' depends on `training` or on values")
    is_layer = isinstance(node.operation, keras.layers.Layer)
    if not is_layer and any(map(_is_function, vars(node.operation).values())):
        raise CannotRecordError(f"it gives a function to '{node.operation.name}'")
    configs = [config_of(each.operation) or vars(each.operation) for each in (node, other)]
    differing = [
        name
        for name in configs[0]
        if name != "name" and not name.startswith("_") and not _equal(*(each.get(name) for each in configs))
    ]
    if not differing:
        return node
    if len(differing) == 1:
        (name,) = differing
        kind = type(node.operation).__name__
        shapes = [tuple(each.outputs[0].shape) for each in (node, other)]
        if kind == "Reshape":
            places = [index for index, (one, two) in enumerate(zip(*shapes, strict=True)) if one != two]
            if len(places) == 1 and shapes[0][places[0]] * SAMPLES[1] == shapes[1][places[0]] * SAMPLES[0]:
                shape = [-1 if index == places[0] else size for index, size in enumerate(shapes[0])]
                return dataclasses.replace(node, operation=copied(node.operation, **{name: tuple(shape)}))
        of_one = len(node.inputs[0].shape) < len(shapes[0]) or node.inputs[0].shape[0] == 1
        if (
            kind in ("BroadcastTo", "Tile", "Repeat")
            and of_one
            and all(one in (1, two) for one, two in zip(node.inputs[0].shape[::-1], shapes[0][::-1], strict=False))
            and shapes == [(each, *shapes[0][1:]) for each in SAMPLES]
        ):
            return _for_each_sample(node.inputs[0], inputs, node.outputs[0])
    raise CannotRecordError(f"'{node.operation.name}' is called with sizes that depend on the number of samples")


def _for_each_sample(value, inputs, output):
    """Returns a call that puts out a value for each sample."""
    given = ((value, inputs[0]),)
    return Node(ForEachSample(output.shape[1:]), tuple(tensors_in(given)), (output,), given, {})


def _arguments(one, other, partner, inputs):
    """Returns a call with `None` in the place of what is `training`, and the calls that make its arrays."""
    before = []

    def same(left, right):
        if isinstance(left, keras.KerasTensor):
            if partner.get(id(left)) is right:
                return left
        elif _is_function(left):
            raise CannotRecordError(f"it gives a function to '{one.operation.name}'")
        elif left is True and right is False:
            return None
        elif isinstance(left, keras.Variable):
            if left is right:
                raise CannotRecordError(f"it computes with '{left.path}', a weight of a layer that it calls besides")
        elif left is right or (type(left) is type(right) and _equal(left, right)):
            return left
        elif _is_array(left) and _is_array(right):
            before.append(_constant(left, right, inputs))
            return before[-1].outputs[0]
        raise CannotRecordError(
            f"what it gives to '{one.operation.name}' depends on `training`, or on the values of weights"
        )

    try:
        args, kwargs = keras.tree.map_structure(same, (one.args, one.kwargs), (other.args, other.kwargs))
    except (ValueError, TypeError) as error:
        raise CannotRecordError(f"what it gives to '{one.operation.name}' depends on `training`") from error
    return dataclasses.replace(one, args=args, kwargs=kwargs), before


def _is_function(value):
    return callable(value) and not isinstance(value, type | keras.Operation | keras.KerasTensor)


def _is_array(value):
    return (keras.ops.is_tensor(value) or isinstance(value, np.ndarray)) and len(value.shape) > 0


def _equal(left, right):
    if keras.ops.is_tensor(left) or isinstance(left, np.ndarray):
        return np.array_equal(*map(keras.ops.convert_to_numpy, (left, right)))
    if isinstance(left, dict | list | tuple):
        return repr(left) == repr(right)
    return left == right

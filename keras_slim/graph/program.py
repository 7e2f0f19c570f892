"""A model, with the models inside it, as one list of calls that are carried out one after the other."""

import dataclasses
import inspect
from collections import defaultdict
from typing import Any

import keras

from keras_slim.graph.masks import SetMask
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import called


@dataclasses.dataclass(frozen=True)
class Place:
    """Stands in the arguments of a call for a value that is computed.

    Args:
        number: Which of the program's values.
    """

    number: int


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of one operation.

    Args:
        operation: The layer, or the operation of `keras.ops`.
        args: Positional arguments, with a `Place` for each tensor.
        kwargs: Keyword arguments, likewise.
        inputs: Numbers of the values that go in.
        outputs: Numbers of the values that come out, flat.
    """

    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def argument(self, name: str):
        """Returns the argument of a name, however the caller passed it; `None` if it was not given."""
        given = inspect.signature(self.operation.call).bind_partial(*self.args, **self.kwargs)
        return given.arguments.get(name)

    def __call__(self, values):
        """Returns what comes out, by its numbers, given what goes in by its numbers."""
        args, kwargs = keras.tree.map_structure(
            lambda leaf: values[leaf.number] if isinstance(leaf, Place) else leaf, (self.args, self.kwargs)
        )
        outputs = keras.tree.flatten(called(self.operation, args, kwargs))
        return dict(zip(self.outputs, outputs, strict=True))


class Program:
    """The calls of a model in the order in which it makes them, those of inner models in place of the model's.

    A copy of the model has the same program, number by number, with other operations in it.

    Args:
        model: A Functional or built Sequential model.

    Attributes:
        calls: List of `Call`s.
        inputs: Numbers of the model's inputs, flat.
        batch_size: The number of samples that it takes at a time, or `None` if any.
        tensors: Dictionary from the number of a value to a symbolic tensor that stands for it in the model.
        places: Dictionary from the id of a symbolic tensor to the numbers of its values, one for each time that it is
            computed: several times in a model that is called at several places.
    """

    def __init__(self, model):
        self.calls = []
        self.places = defaultdict(list)
        self.tensors = {}
        self.batch_size = next((tensor.shape[0] for tensor in model.inputs if tensor.shape[0] is not None), None)
        self._count = 0
        self.inputs = self._new(len(model.inputs))
        self._add(model, self.inputs)

    def symbol(self, leaf):
        """Returns a new symbolic tensor like the value that a `Place` stands for; anything else as it is."""
        if not isinstance(leaf, Place):
            return leaf
        tensor = self.tensors[leaf.number]
        return keras.KerasTensor(tensor.shape, tensor.dtype)

    def _new(self, count):
        first, self._count = self._count, self._count + count
        return range(first, self._count)

    def _add(self, model, given):
        """Appends the calls of a model on values that are given, and returns the numbers of its outputs."""
        place = {}

        def note(tensors, numbers):
            for tensor, number in zip(tensors, numbers, strict=True):
                place[id(tensor)] = number
                self.tensors[number] = tensor
                self.places[id(tensor)].append(number)

        note(model.inputs, given)
        for node in walk(model):
            if isinstance(node.operation, keras.layers.InputLayer):
                continue
            inputs = tuple(place[id(tensor)] for tensor in node.inputs)
            if is_graph(node.operation) and find_rule(node.operation) is None:
                outputs = self._add(node.operation, self._masked(node, inputs, place))
            else:
                outputs = self._new(len(node.outputs))
                args, kwargs = keras.tree.map_structure(
                    lambda leaf: Place(place[id(leaf)]) if id(leaf) in place else leaf, (node.args, node.kwargs)
                )
                self.calls.append(Call(node.operation, args, kwargs, inputs, tuple(outputs)))
            note(node.outputs, outputs)
        return [place[id(tensor)] for tensor in model.outputs]

    def _masked(self, node, inputs, place):
        """Returns the numbers of what goes into a model inside, with the masks that it is called with."""
        given = [*inputs[: len(node.operation.inputs)]]
        for index, mask in node.masks.items():
            args = Place(given[index]), Place(place[id(mask)]) if id(mask) in place else mask
            numbers = tuple(each.number for each in args if isinstance(each, Place))
            (given[index],) = made = tuple(self._new(1))
            self.calls.append(Call(SetMask(), args, {}, numbers, made))
        return given

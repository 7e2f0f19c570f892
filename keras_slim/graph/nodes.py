"""The calls a model makes, in order: the one file that reads Keras's private node lists.

Keras records every symbolic call of an operation as a node: which tensors went in, which came out. It has no public
way to read them, so this file does, and hands out `Node`s of its own. Everything else in keras_slim walks a model
through here.

Private names used: `KerasTensor._keras_history`, `Operation._inbound_nodes` and `_outbound_nodes`, and of a node its
`operation`, `arguments`, `input_tensors` and `outputs`. Checked on Keras 3.15.1; `tests/graph/test_nodes.py` fails when
they move.
"""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any

import keras

from keras_slim.errors import UnsupportedLayerError, invalid_argument
from keras_slim.held import is_of_keras


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One call of one operation.

    Args:
        operation: The layer, or the operation of `keras.ops`, that was called.
        inputs: Symbolic tensors that went in, flat, those of the first argument first. Those of a model inside may have
            masks behind them.
        outputs: Symbolic tensors that came out, flat.
        args: Positional arguments of the call, as given; the first one is among them if it was passed by its name.
        kwargs: The other keyword arguments of the call, as given.
        origin: The call as the model holds it, if this one stands for it on other tensors.
    """

    operation: keras.Operation
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    origin: "Node | None" = None

    @property
    def masks(self) -> dict[int, Any]:
        """The masks that a model inside is called with, by the number of the input that each is for."""
        if not is_graph(self.operation):
            return {}
        given = inspect.signature(self.operation.call).bind_partial(*self.args, **self.kwargs).arguments
        masks = keras.tree.flatten(given.get("mask"))
        return {number: mask for number, mask in enumerate(masks) if mask is not None}

    def on(self, tensors: dict[int, keras.KerasTensor]) -> "Node":
        """Returns the same call on other tensors, by the id of those they stand in for; those not named stay."""

        def other(value):
            return tensors.get(id(value), value)

        args, kwargs = keras.tree.map_structure(other, (self.args, self.kwargs))
        inputs, outputs = (tuple(map(other, each)) for each in (self.inputs, self.outputs))
        return Node(self.operation, inputs, outputs, args, kwargs, origin=self.origin or self)


def is_graph(model) -> bool:
    """Tells whether `walk` can read `model`: a functional model, or a `Sequential` that has been built.

    A class that derives from `keras.Model` is one too if it calls `super().__init__(inputs, outputs)` and leaves
    `call` to Keras.
    """
    if not isinstance(model, keras.Model) or not _leaves_call_to_keras(model):
        return False
    return isinstance(model, keras.Function) or (isinstance(model, keras.Sequential) and hasattr(model, "inputs"))


def walk(model: keras.Model) -> list[Node]:
    """Lists the calls that lead from the model's inputs to its outputs.

    A layer called twice gives two nodes; calls that belong to other models are left out; a model inside the model is
    one node, whose `operation` can be walked in turn. The order follows from the graph alone, so a clone of the model
    gives the same one: the inputs first, then each call after those it depends on.

    Args:
        model: A functional model, or a `Sequential` that has been built.

    Returns:
        The nodes, in topological order, input layers included.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it has not been built.
        UnsupportedLayerError: If it is a subclassed model, whose calls are known only to its own code.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
    >>> [type(node.operation).__name__ for node in walk(model)]
    ['InputLayer', 'Dense']
    """
    check_graph(model)
    return calls_between(model.inputs, model.outputs)


def calls_between(inputs, outputs) -> list[Node]:
    """Lists the calls that lead from some symbolic tensors to others, as `walk` does for those of a model."""
    ordered, seen = [], set()
    for tensor in (*inputs, *outputs):
        _visit(_producer(tensor), ordered, seen)
    return [_public(node) for node in ordered]


def calls_of(layers: Iterable[keras.layers.Layer]) -> list[list]:
    """Returns the lists in which layers keep the calls on symbolic tensors of themselves, and of those that follow."""
    return [calls for layer in layers for calls in (layer._inbound_nodes, layer._outbound_nodes)]


def operations(model: keras.Model) -> list[keras.Operation]:
    """Returns the operations of a model and of the models inside it, these included, each once."""
    found = []
    for node in walk(model):
        found += [node.operation, *(operations(node.operation) if is_graph(node.operation) else ())]
    return list(dict.fromkeys(found))


def check_graph(model, owner="walk"):
    """Raises what `walk` would raise about a model whose calls cannot be read, in the name of who was given it."""
    if is_graph(model):
        return
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", owner, expected="a Keras model", received=model))
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            f"Model '{model.name}' is not built: its layers have no shapes yet. Expected a built `Sequential`. "
            "Start it with a `keras.Input(shape)`, or call `model.build((None, ...))` first."
        )
    raise UnsupportedLayerError(
        f"Model '{model.name}' of class `{type(model).__name__}` decides in its own code which layers it calls. "
        "Expected a functional model or a `Sequential`, whose calls can be read. "
        "`keras_slim.functional(model)` reads most. Or build it from its layers with `keras.Model(inputs, outputs)`."
    )


def _leaves_call_to_keras(model):
    return is_of_keras(type(model).call)


def _producer(tensor):
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _visit(last, ordered, seen):
    """Appends to `ordered` what `last` depends on, then `last`: depth first, without recursion."""
    stack = [(last, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            ordered.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((_producer(tensor), False) for tensor in reversed(node.input_tensors))


def _public(node):
    args, kwargs = _first_by_position(node)
    return Node(
        operation=node.operation,
        inputs=tuple(leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, keras.KerasTensor)),
        outputs=tuple(node.outputs),
        args=args,
        kwargs=kwargs,
    )


def _first_by_position(node):
    args, kwargs = tuple(node.arguments.args), dict(node.arguments.kwargs)
    first = next(iter(inspect.signature(node.operation.call).parameters.values()), None)
    if args or first is None or first.name not in kwargs or first.kind is first.KEYWORD_ONLY:
        return args, kwargs
    return (kwargs.pop(first.name),), kwargs

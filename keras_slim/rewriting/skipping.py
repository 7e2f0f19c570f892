"""Which layers of a model are replaced, and which stay: the argument `skip` of all that replaces."""

import warnings
from collections.abc import Container, Iterable, Mapping

import keras

from keras_slim.errors import SlimWarning, did_you_mean, invalid_argument
from keras_slim.graph.nodes import is_graph, operations
from keras_slim.graph.running import run
from keras_slim.graph.stock import differs_because

ENDS = ("first", "last")


def layers_to_replace(
    model: keras.Model,
    twins: Mapping[type, type],
    skip: Iterable[str],
    owner: str,
    named: Container = (),
    stacklevel: int = 3,
) -> set[keras.layers.Layer]:
    """Returns the layers of a model, and of those inside it, that are replaced.

    Layers that stay because they derive from a type with a twin, are quantized or have a low-rank adaptation are told
    of in a `SlimWarning`, to the caller of the function that asks.

    Args:
        model: A Functional or built Sequential model.
        twins: Types of layers, and those of their twins.
        skip: What stays: `"first"`, the layers with no other such layer before them; `"last"`, those with none after
            them; names of layers; names of models inside the model, with all their layers.
        owner: Name of the function that was given it.
        named: Layers that are replaced though they are the first or the last.
        stacklevel: To whom the warning goes; 2 is whoever calls this function.

    Raises:
        TypeError: If `skip` is not a list of names.
        ValueError: If it names what is not there, or nothing is left to replace.
    """
    skip = _check_skip(skip, model, owner)
    before, left = _layers_before(model, twins)
    tell_of_left(left, owner, stacklevel + 1)
    by_name = {layer for layer in before if layer.name in skip} | _inside(model, skip)
    at_ends = {layer for layer in before if layer not in named and _is_end(layer, before, skip)}
    replaced = set(before) - by_name - at_ends
    if not replaced:
        kinds = ", ".join(f"`{each.__name__}`" for each in twins)
        if not before:
            expected = f"one with a layer that has a twin, of {kinds}"
            raise ValueError(invalid_argument("model", owner, expected=expected, received=f"'{model.name}' without"))
        expected = f"to leave a layer that has a twin, of {kinds}"
        hint = "With `skip=()` the first and the last of them are replaced too."
        raise ValueError(invalid_argument("skip", owner, expected=expected, received=skip, hint=hint))
    return replaced


def tell_of_left(left: Mapping[keras.layers.Layer, str], owner: str, stacklevel: int = 3) -> None:
    """Warns of layers that stay as they are, if there are any.

    Args:
        left: Why, by layer.
        owner: Name of the function that leaves them.
        stacklevel: To whom the warning goes; 2 is whoever calls this function.
    """
    if left:
        names = ", ".join(f"'{layer.name}' ({reason})" for layer, reason in left.items())
        warnings.warn(f"`{owner}` leaves these layers as they are: {names}.", SlimWarning, stacklevel=stacklevel)


def check_named(
    named: Iterable[keras.Operation], twins: Mapping[type, type], received, argument: str, owner: str
) -> None:
    """Raises `ValueError` if a layer that an option was given for by name has no twin.

    Args:
        named: The layers, and models, that are named.
        twins: Types of layers, and those of their twins.
        received: The options.
        argument: Name of the argument they came through.
        owner: Name of the function that was given it.
    """
    for each in named:
        if not isinstance(each, tuple(twins)) and not is_graph(each):
            names = ", ".join(f"`{kind.__name__}`" for kind in twins)
            expected = f"names of layers that have a twin, of {names}; '{each.name}' is a `{type(each).__name__}`"
            raise ValueError(invalid_argument(argument, owner, expected=expected, received=received))


def _check_skip(skip, model, owner):
    """Returns `skip` as a tuple, or raises if it names what the model does not have."""
    expected = "'first', 'last', and names of layers"
    if isinstance(skip, str) or not isinstance(skip, Iterable):
        hint = f"Give a tuple: skip=({skip!r},)." if isinstance(skip, str) else ""
        raise TypeError(invalid_argument("skip", owner, expected=expected, received=skip, hint=hint))
    skip = tuple(skip)
    names = {*ENDS, *(operation.name for operation in operations(model))}
    for name in skip:
        if name not in names:
            raise ValueError(
                invalid_argument("skip", owner, expected=expected, received=skip, hint=did_you_mean(name, names))
            )
    return skip


def _inside(model, names):
    """Returns the layers of those models inside a model that have one of some names."""
    models = [each for each in operations(model) if is_graph(each) and each.name in names]
    return {layer for each in models for layer in operations(each)}


def _layers_before(model, twins):
    """Returns for each layer that has a twin those before it, on any way from the inputs, and why others stay."""
    before, left = {}, {}

    def call(node, given, args, kwargs):
        if is_graph(node.operation):
            return run(node.operation, given, call)
        reached = frozenset().union(*given)
        if reason := left_because(node.operation, twins):
            left[node.operation] = reason
        elif type(node.operation) in twins:
            before[node.operation] = before.get(node.operation, frozenset()) | reached
            reached |= {node.operation}
        return [reached] * len(node.outputs)

    run(model, [frozenset()] * len(model.inputs), call)
    return before, left


def left_because(layer, twins):
    """Returns why a layer is left as it is though its type has a twin, or an empty string."""
    if not isinstance(layer, tuple(twins)) or type(layer) in twins.values():
        return ""
    return differs_because(layer, twins)


def _is_end(layer, before, skip):
    is_first = not before[layer] - {layer}
    is_last = not any(layer in reached for other, reached in before.items() if other is not layer)
    return ("first" in skip and is_first) or ("last" in skip and is_last)

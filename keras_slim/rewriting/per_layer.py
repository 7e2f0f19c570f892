"""One option for all layers of a model, or others by type, name or path: the more specific wins."""

from collections.abc import Callable

import keras

from keras_slim.errors import did_you_mean, invalid_argument
from keras_slim.graph.nodes import is_graph, operations, walk


class PerLayer:
    """What an argument says for each layer of a model.

    Args:
        model: A Functional or built Sequential model.
        value: The option for all layers, or a dictionary to options. Its keys are types of layers, or their names, of
            which the nearest counts and `keras.layers.Layer` stands for whatever has no other; names of layers; paths,
            as `"encoder/dense"`; names or paths of models inside the model, for their layers. A path goes before a
            name, then comes the model around, then the type. What no key tells of has `None`.
        read: Function of an option that returns what it stands for, or raises.
        name: Name of the argument.
        owner: Name of the function that was given it.

    Raises:
        TypeError: If a key is neither a type of layers nor a string.
        ValueError: If a key names what the model does not have.
    """

    def __init__(self, model: keras.Model, value, read: Callable, name: str, owner: str):
        self._ways = _ways(model)
        options = by_layer(value)
        self._check(options, operations(model), name, owner)
        self._options = {key: read(option) for key, option in options.items()}

    def of(self, operation: keras.Operation):
        """Returns the option of a layer, or of an operation of `keras.ops`."""
        types = *type(operation).__mro__, keras.layers.Layer
        keys = [*self._names(operation), *(key for each in types for key in (each, each.__name__))]
        return next((self._options[key] for key in keys if key in self._options), None)

    def is_named(self, operation: keras.Operation) -> bool:
        """Tells whether a layer has an option by its own name or path that is not `None`."""
        names = [*map("/".join, self._ways[operation]), operation.name]
        found = [self._options[name] for name in names if name in self._options]
        return bool(found) and found[0] is not None

    def _names(self, operation):
        ways = self._ways[operation]
        around = [
            key
            for way in ways
            for depth in range(len(way) - 1, 0, -1)
            for key in ("/".join(way[:depth]), way[depth - 1])
        ]
        return [*map("/".join, ways), operation.name, *around]

    def _check(self, options, found, name, owner):
        known = {key for operation in found for key in self._names(operation)}
        known |= {each.__name__ for operation in found for each in (*type(operation).__mro__, keras.layers.Layer)}
        expected = "types of layers, and names or paths of layers of the model, as keys"
        for key in options:
            if isinstance(key, str):
                if key not in known and not hasattr(keras.layers, key):
                    hint = did_you_mean(key, sorted(known))
                    raise ValueError(invalid_argument(name, owner, expected=expected, received=options, hint=hint))
            elif not (isinstance(key, type) and issubclass(key, keras.Operation)):
                raise TypeError(invalid_argument(name, owner, expected=expected, received=options))


def by_layer(value) -> dict:
    """Returns an option for all layers as a dictionary with the one key for all; one that has keys as it is."""
    is_told = isinstance(value, dict) and "class_name" not in value  # not the config of a quantizer
    return value if is_told else {keras.layers.Layer: value}


def paths(model: keras.Model) -> dict[keras.Operation, str]:
    """Returns the path of each operation of a model and of the models inside it, as `"encoder/dense"`."""
    return {operation: "/".join(ways[0]) for operation, ways in _ways(model).items()}


def _ways(model):
    """Returns for each operation the names of the models around it and its own, once for each place it is in."""
    found: dict = {}

    def visit(graph, around):
        for operation in dict.fromkeys(node.operation for node in walk(graph)):
            way = (*around, operation.name)
            found.setdefault(operation, []).append(way)
            if is_graph(operation):
                visit(operation, way)

    visit(model, ())
    return found

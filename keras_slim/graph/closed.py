"""Layers that nothing is known of but their code, and why they could not be opened."""

import weakref

import keras

from keras_slim.graph.nodes import is_graph
from keras_slim.graph.registry import find_rule
from keras_slim.held import is_of_keras

_WHY: "weakref.WeakKeyDictionary[keras.layers.Layer, str]" = weakref.WeakKeyDictionary()


def is_closed(operation) -> bool:
    """Tells whether an operation is a layer that nothing is known of but its code.

    Example:

    >>> class Twice(keras.layers.Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> is_closed(Twice()), is_closed(keras.layers.Dense(2))
    (True, False)
    """
    if not isinstance(operation, keras.layers.Layer) or is_graph(operation) or find_rule(operation) is not None:
        return False
    return not is_of_keras(type(operation))


def stays_closed(layer: keras.layers.Layer, why: str) -> None:
    """Notes why a layer could not be opened."""
    _WHY[layer] = why


def why_closed(operation) -> str:
    """Returns why a layer could not be opened when that was tried last, or an empty string."""
    return _WHY.get(operation, "") if isinstance(operation, keras.layers.Layer) else ""

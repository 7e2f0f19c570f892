"""Copies of models in which something else stands for some of the layers."""

from collections.abc import Callable, Container

import keras

from keras_slim.graph.nodes import is_graph
from keras_slim.graph.running import copy_of
from keras_slim.own_state import carry_state, copy_variables
from keras_slim.remaking import config_of, made_from


def copy_replacing(
    model: keras.Model,
    replacement: Callable[[keras.Operation, dict], list | None],
    anew: Container[keras.Operation] = (),
) -> keras.Model:
    """Returns a copy of a model, and of those inside it, with others in the place of some layers.

    Args:
        model: A Functional or built Sequential model.
        replacement: Function of a layer, or an operation of `keras.ops`, that returns a list of the layers in its
            place, one behind the other, itself for its copy; an empty one, if it is left out; `None`, if a copy alone
            is to stand for it. It is called once for each, also with the entries of its config that the copy has
            different: an activation that is a layer.
        anew: Layers whose copies start with fresh weights; all other copies have the weights of theirs.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        UnsupportedLayerError: If a layer cannot be copied.
    """
    return copy_and_stacks(model, replacement, anew)[0]


def copy_and_stacks(
    model: keras.Model,
    replacement: Callable[[keras.Operation, dict], list | None],
    anew: Container[keras.Operation] = (),
) -> tuple[keras.Model, dict[keras.layers.Layer, list[keras.layers.Layer]]]:
    """Returns what `copy_replacing` does, and the layers that stand in the place of each layer or model inside."""
    copying = _Copying(replacement, anew)
    return copying.copy(model), copying.stacks


def copied(operation: keras.Operation, **changes) -> keras.Operation:
    """Returns a copy of an operation, or itself if it is one of `keras.ops` that Keras cannot copy.

    Args:
        operation: The operation.
        **changes: Entries of the config that are different, if it has them.

    Raises:
        UnsupportedLayerError: If it cannot be copied.
    """
    config = config_of(operation)
    if config is None:
        return operation
    return made_from({key: changes.get(key, value) for key, value in config.items()}, operation)


class _Copying:
    """Copies a model, each operation once."""

    def __init__(self, replacement, anew):
        self._replacement = replacement
        self._anew = anew
        self._stands_for = {}
        self._copies = {}  # of those that are the same, but for their activation

    @property
    def stacks(self):
        return {old: stack for old, stack in self._stands_for.items() if isinstance(old, keras.layers.Layer)}

    def copy(self, model):
        copy = self._copy_model(model)
        for old, new in self._copies.items():
            if old is not new and old not in self._anew:
                if getattr(old, "weights", ()) and not new.built:
                    # an activation: Keras builds it when the layer around it first sees data
                    new.build_from_config(old.get_build_config())
                copy_variables(old, new)
                carry_state(old, new)
        return copy

    def _copy_model(self, model):
        return copy_of(model, copied, self._standing_for, self._call)

    def _call(self, node, inputs, args, kwargs):
        stack = self._standing_for(node.operation)
        if not stack:
            return inputs
        # masks and initial states are for the layer that knows them
        knows = next((layer for layer in stack if type(layer) is type(node.operation)), stack[0])
        value, others = args[:1], args[1:]
        for layer in stack:
            value = [layer(*value, *others, **kwargs) if layer is knows else layer(*value)]
        return value[0]

    def _standing_for(self, operation):
        if operation not in self._stands_for:
            self._stands_for[operation] = self._made(operation)
        return self._stands_for[operation]

    def _made(self, operation):
        if is_graph(operation):
            return [self._copy_model(operation)]
        activation = getattr(operation, "activation", None)
        changes = {}
        if isinstance(activation, keras.layers.Layer):
            (activation,) = self._standing_for(activation)
            changes = {"activation": activation}
        made = self._replacement(operation, changes)
        made = [operation] if made is None else made
        if operation in made:
            self._copies[operation] = copied(operation, **changes)
        return [self._copies[operation] if each is operation else each for each in made]

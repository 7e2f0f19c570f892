"""What a recipe says for each layer: the settings of a step, others by type or name, or to leave it alone."""

import math

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.nodes import is_graph
from keras_slim.recipes.base import Step, check_names, steps
from keras_slim.rewriting.per_layer import PerLayer, paths

LEFT = "left alone"


def check_layers(layers, owner: str) -> dict:
    """Returns the settings by layer, or raises what can be seen to be wrong without a model.

    Args:
        layers: Dictionary of types, names or paths of layers to `None`, or to a dictionary of names of steps to `None`
            or to a dictionary of options.
        owner: Name of what was given it.

    Raises:
        TypeError: If it is none.
        ValueError: If there is no such step, or no such option by layer.
    """
    expected = "a dictionary of types or names of layers to None, or to a dictionary of steps to None or to options"
    if not isinstance(layers, dict):
        raise TypeError(invalid_argument("layers", owner, expected=expected, received=layers))
    for key, told in layers.items():
        if told is None:
            continue
        if not isinstance(told, dict):
            raise TypeError(invalid_argument("layers", owner, expected=expected, received={key: told}))
        check_names(told, steps.names(), f"`layers` for {_shown(key)!r}", "a step")
        for alias, options in told.items():
            _check_options(steps.class_of(alias), options, f"`{alias}` in `layers` for {_shown(key)!r}")
    return {_shown(key): told for key, told in layers.items()}


def _check_options(kind, options, owner):
    if options is None:
        return
    expected = f"None, to leave the layer alone{', or options' * bool(kind.by_layer)}"
    if not isinstance(options, dict) or not options:
        raise TypeError(f"Invalid value for {owner}. Expected {expected}. Received: {options!r}.")
    if not kind.by_layer:
        raise ValueError(f"Invalid value for {owner}. Expected {expected}; it has none by layer. Received: {options}.")
    check_names(options, kind.by_layer, owner, "an option that may differ by layer")


def _shown(key):
    """Returns a type of layers by its name, which is how files tell it."""
    return key.__name__ if isinstance(key, type) else key


class Settings:
    """What a recipe says for the layers of one model.

    Args:
        model: A Functional or Sequential model.
        layers: As for `Recipe`.
        min_weights: As for `Recipe`.
        owner: Name of the recipe, for error messages.

    Raises:
        TypeError, ValueError: If a key names no layer of the model.
    """

    def __init__(self, model: keras.Model, layers: dict, min_weights: int, owner: str):
        self._layers = {layer: path for layer, path in paths(model).items() if _has_weights(layer)}
        self._small = {path for layer, path in self._layers.items() if _largest(layer) < min_weights}
        PerLayer(model, layers, lambda told: told, "layers", owner)  # says which keys name nothing
        self._told = {alias: self._for(model, alias, layers, owner) for alias in steps.names()}

    def _for(self, model, alias, layers, owner):
        """Returns what is told of one step, by the paths of layers."""
        told = {key: (each or {alias: None})[alias] for key, each in layers.items() if each is None or alias in each}
        per_layer = PerLayer(model, told, lambda options: LEFT if options is None else options, "layers", owner)
        return {path: found for layer, path in self._layers.items() if (found := per_layer.of(layer)) is not None}

    def untouched(self, step: Step) -> frozenset[str]:
        """Returns the paths of the layers whose weights a step leaves as they are."""
        told = self._told[step.alias]
        small = {path for path in self._small if path not in told} if step.spares_small else set()
        return frozenset(small | {path for path, options in told.items() if options == LEFT})

    @property
    def frozen(self) -> frozenset[str]:
        """Paths of the layers that no step trains: those that `fine_tune` leaves alone."""
        return frozenset(path for path, options in self._told["fine_tune"].items() if options == LEFT)

    def options(self, step: Step) -> dict[str, dict]:
        """Returns the options of a step that are others for some layers, by their paths."""
        return {path: options for path, options in self._told[step.alias].items() if options != LEFT}

    def check(self, step: Step) -> None:
        """Raises what is wrong with the options of a step for single layers."""
        for path, options in self.options(step).items():
            try:
                step.from_config({**step.get_config(), **options})
            except (TypeError, ValueError) as error:
                raise type(error)(f"Layer '{path}': {error}") from error


def _has_weights(layer):
    return not is_graph(layer) and bool(getattr(layer, "weights", ()))


def _largest(layer):
    return max(math.prod(weight.shape) for weight in layer.weights)

"""One model with ranges of which each layer can round by itself, or stay real: for looking, not for training."""

import keras
import numpy as np

from keras_slim.graph.nodes import is_graph
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import KeptState, called, observed_run, run
from keras_slim.kernels.backends import without_gradients
from keras_slim.layers.quantize import Quantize
from keras_slim.rewriting.calibration import rounding_layers
from keras_slim.rewriting.per_layer import paths
from keras_slim.scoring.data import flat_inputs

MOST_DB = 150.0
"""What float32 can tell apart, and more."""


class Switches:
    """Turns rounding on and off, layer by layer.

    A `Quantize` belongs to what it stands behind, and so does an activation that `quantize` has made a layer.

    Args:
        model: A Functional or built Sequential model whose layers have their ranges. Its layers are switched.
        original: The model that it was made of, if it is one that `quantize` has made.

    Attributes:
        parts: For each path, in the order of the model, the layers that round there.
    """

    def __init__(self, model: keras.Model, original: keras.Model | None = None):
        self.model = model
        self.parts: dict[str, list] = {}
        self._owners: dict = {}
        self._following = set()
        self._paths = paths(model)
        self._kinds = {path: type(each).__name__ for each, path in paths(original or model).items()}
        run(model, [""] * len(model.inputs), self._find)

    def _find(self, node, given, args, kwargs):
        operation = node.operation
        if is_graph(operation):
            return run(operation, given, self._find)
        owner = path = self._paths[operation]
        if given and given[0] and (isinstance(operation, Quantize) or path not in self._kinds):
            owner = given[0]
            self._following.add(operation)
        for layer in rounding_layers(operation) if isinstance(operation, keras.layers.Layer) else ():
            if layer not in self.parts.setdefault(owner, []):
                self.parts[owner].append(layer)
        self._owners[operation] = owner
        return [owner] * len(node.outputs)

    def kind(self, path: str) -> str:
        """Returns the name of the type of what is at a path, in the model that it was made of."""
        return self._kinds[path]

    def round_only(self, rounding) -> None:
        """Lets the layers at some paths round, and all others be real."""
        for path, layers in self.parts.items():
            for layer in layers:
                layer.rounding = "all" if path in rounding else "nothing"

    @without_gradients()
    def answers(self, batches, rounding) -> list:
        """Returns what the model answers to batches, as arrays, when the layers at some paths round."""
        self.round_only(rounding)
        with KeptState(self.model):
            return [
                keras.tree.map_structure(keras.ops.convert_to_numpy, observed_run(self.model, flat, ())[0])
                for flat in (flat_inputs(self.model, x) for x, *_ in batches)
            ]

    @without_gradients()
    def own_noise(self, batches) -> dict[str, float]:
        """Returns for each path how near its outputs, rounded, are to its real ones, on real inputs, in decibels."""
        totals: dict = {}

        def call(node, given, args, kwargs):
            operation = node.operation
            if is_graph(operation) and find_rule(operation) is None:
                return run(operation, given, call)
            real = keras.tree.flatten(called(operation, *_chosen("real", args, kwargs)))
            owner = self._owners[operation]
            layers = self.parts.get(owner, ())
            follows = operation in self._following
            if not layers or not (follows or set(layers) & set(rounding_layers(operation))):
                return [_Two(each, each) for each in real]
            for layer in layers:
                layer.rounding = "all"
            rounded = called(operation, *_chosen("rounded" if follows else "real", args, kwargs))
            for layer in layers:
                layer.rounding = "nothing"
            rounded = keras.tree.flatten(rounded)
            signal, noise = totals.get((owner, operation), (0, 0))
            powers = [_powers(*each) for each in zip(real, rounded, strict=True)]
            totals[owner, operation] = (signal + sum(p for p, _ in powers), noise + sum(p for _, p in powers))
            return [_Two(*each) for each in zip(real, rounded, strict=True)]

        self.round_only(())
        with KeptState(self.model):
            for x, *_ in batches:
                run(self.model, [_Two(each, each) for each in flat_inputs(self.model, x)], call)
        return {owner: decibels(*powers) for (owner, _), powers in totals.items()}  # the last one of each counts


class _Two:
    """What a layer gives, real and rounded."""

    def __init__(self, real, rounded):
        self.real, self.rounded = real, rounded


def _chosen(which, args, kwargs):
    return keras.tree.map_structure(
        lambda leaf: getattr(leaf, which) if isinstance(leaf, _Two) else leaf, (args, kwargs)
    )


def _powers(real, rounded):
    """Returns the sum of the squares of numbers, and of their differences to others."""
    real, rounded = (keras.ops.convert_to_numpy(each).astype("float64") for each in (real, rounded))
    return float(np.sum(real**2)), float(np.sum((real - rounded) ** 2))


def decibels(signal: float, noise: float) -> float:
    """Returns `10 log10(signal / noise)`, between -150 and 150."""
    if noise == 0:
        return MOST_DB
    if signal == 0 or not np.isfinite(noise):
        return -MOST_DB
    return float(np.clip(10 * np.log10(signal / noise), -MOST_DB, MOST_DB))


def signal_to_noise(real, rounded) -> float:
    """Returns how near answers to batches are to others, that of the worst output, in decibels."""
    pairs = zip(*(map(keras.tree.flatten, each) for each in (real, rounded)), strict=True)
    powers = [[_powers(*outputs) for outputs in zip(*pair, strict=True)] for pair in pairs]
    return min(decibels(*map(sum, zip(*of_output, strict=True))) for of_output in zip(*powers, strict=True))

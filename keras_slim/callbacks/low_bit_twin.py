"""Making the user's own model object its twin with few bits, in the middle of `fit`."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_slim.callbacks.in_place import check_config, say_opened, warn_of_strangers
from keras_slim.callbacks.saying import say
from keras_slim.distribution import scope_of
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.nodes import is_graph
from keras_slim.held import layers_within
from keras_slim.layers.quant_twins import QUANTIZED
from keras_slim.layers.quantized import Quantized
from keras_slim.own_state import variables_alike
from keras_slim.pruning.subject import Subject
from keras_slim.pruning.surgery import Transfer
from keras_slim.pruning.views import layers_by_path
from keras_slim.rewriting.calibration import rounding_layers
from keras_slim.rewriting.quantization import quantized


def become_twin(
    model: keras.Model, kernel: Any, activations: Any, skip: Iterable[str], owner: str, verbose: int
) -> None:
    """Makes a model what `quantize` makes of it, inside the same object. Its new layers round nothing yet.

    Args:
        model: A compiled model, built.
        kernel: As for `quantize`.
        activations: As for `quantize`.
        skip: As for `quantize`.
        owner: Name of the callback, for error messages; `kernel` is its argument `bits`.
        verbose: Whether to say what stays real.

    Raises:
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or cannot be made anew.
        ValueError: If an argument does not fit it.
    """
    if not is_graph(model):
        raise UnsupportedLayerError(
            f"`{owner}` puts layers between those of a model, which the code of model '{model.name}' of class "
            f"`{type(model).__name__}` would not call. Expected a Functional or Sequential model. Train "
            "`keras_slim.functional(model)`, which has the same weights."
        )
    check_config(model, "with layers that round")
    subject = Subject(model, owner=owner, opens=_holds_what_can_round)
    opened = subject.opened
    warn_of_strangers(subject, owner)
    with scope_of(model):
        twin, stacks = quantized(subject.twin, kernel, activations, skip, owner=owner, argument="bits")
        for layer in rounding_layers(twin):
            layer.rounding = "nothing"
        subject.adopt(twin, list(_transfers(stacks)), stacks)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)  # so that a backup can be loaded
    say_opened(verbose, model.name, opened)
    real = [f"'{path}' ({type(layer).__name__})" for path, layer in layers_by_path(model) if _stays_real(layer)]
    if real:
        say(verbose, f"These layers of model '{model.name}' stay real: {', '.join(real)}")


def _holds_what_can_round(layer):
    """Tells whether a layer whose inside cannot be seen holds others that can be exchanged."""
    return any(isinstance(each, tuple(QUANTIZED)) for each in layers_within(layer) if each is not layer)


def _stays_real(layer):
    """Tells whether a layer has kernels, and none of them is rounded."""
    holds = [each for each in layers_within(layer) if isinstance(each, Quantized)]
    is_model = isinstance(layer, keras.Model)
    return not (holds or is_model) and any(len(weight.shape) > 1 for weight in layer.weights)


def _transfers(stacks):
    """Yields how variables come from those of layers in whose place others stand."""
    for layer, (first, *_) in stacks.items():
        if not is_graph(layer):
            for old, new in variables_alike(layer, first):
                if new.trainable != old.trainable:
                    new.trainable = old.trainable
                yield Transfer(old, new, {})

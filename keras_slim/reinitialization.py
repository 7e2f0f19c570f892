"""The same network once more, with weights drawn anew: the control of whatever keeps some weights and not others."""

import contextlib
import random

import keras

from keras_slim.own_state import carry_state
from keras_slim.remaking import ANEW, config_of, made_from


def fresh_clone(model: keras.Model, seed: int | None = None, replace=lambda layer: None) -> keras.Model:
    """Returns a copy of a model whose weights are drawn anew by the initializers of its layers.

    What layers learned about the data by `adapt` stays, and what they remember beside their weights.

    Args:
        model: A built Functional or Sequential model. It is not changed.
        seed: Seed of the weights, in place of those that the initializers have. Defaults to chance, as
            `keras.utils.set_random_seed` rules it.
        replace: Function from a layer to what stands for it in the copy, or to `None` for the usual one. Optional.
    """
    pairs = []

    def clone(layer):
        copy = replace(layer) or made_from(_without_seeds(config_of(layer)), layer)
        if type(copy) is type(layer):
            pairs.append((layer, copy))
        return copy

    with _seeded(seed):
        fresh = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer, copy in pairs:
        if hasattr(layer, "adapt"):
            copy.set_weights(layer.get_weights())
        carry_state(layer, copy)
    return fresh


@contextlib.contextmanager
def _seeded(seed):
    """Seeds Python's generator, from which an initializer without a seed takes one, and gives its state back after."""
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _without_seeds(config):
    """Returns a nested config in which no initializer has a seed of its own."""
    if isinstance(config, dict):
        config = {key: _without_seeds(value) for key, value in config.items()}
        return {key: _without_seed(value) if key.endswith("initializer") else value for key, value in config.items()}
    return type(config)(map(_without_seeds, config)) if type(config) in (list, tuple) else config


def _without_seed(initializer):
    if isinstance(initializer, dict) and "seed" in initializer.get("config", {}):
        anew = {ANEW: True} if "held" in initializer["config"] else {}
        return {**initializer, "config": {**initializer["config"], "seed": None, **anew}}
    return initializer

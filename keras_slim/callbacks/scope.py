"""Where variables of a model that trains on several devices are created."""

import contextlib

import keras


def scope_of(model: keras.Model):
    """Returns the context in which variables of a model must be created."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else contextlib.nullcontext()

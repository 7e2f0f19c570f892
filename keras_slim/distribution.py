"""Where the variables of a model that trains on several devices must be made."""

from contextlib import nullcontext


def scope_of(model):
    """Returns the context in which variables that belong to a model must be created."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else nullcontext()

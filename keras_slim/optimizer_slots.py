"""Which of an optimizer's variables belongs to which weight.

Keras has no public way to ask. This file reads `Optimizer._trainable_variables`, `Optimizer._iterations`,
`Optimizer._learning_rate`, and the lists among an optimizer's attributes. Checked on Keras 3.15.1;
`tests/pruning/test_optimizer_state.py` and `tests/sparsity/test_holding.py` run every optimizer of Keras.
"""

import keras
import numpy as np


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers that a model's attributes hold, in lists, tuples and dictionaries too, each once.

    These are that of `compile`, and others that its own steps use.
    """
    return list({id(each): each for each in _optimizers_in(list(vars(model).values()))}.values())


def _optimizers_in(value):
    if isinstance(value, keras.optimizers.Optimizer):
        return [value]
    inside = list(value.values()) if isinstance(value, dict) else value
    return [found for each in inside for found in _optimizers_in(each)] if isinstance(inside, list | tuple) else []


def with_inner(optimizer):
    """Returns an optimizer and those it wraps (loss scaling, several optimizers), in a fixed order."""
    found = [optimizer]
    for value in vars(optimizer).values():
        candidates = value if isinstance(value, list) else [value]
        found += [inner for inner in candidates if isinstance(inner, keras.optimizers.Optimizer)]
    return found


def clock_of(optimizer):
    """Returns the variables that say how far training has come: counts of steps, and learning rates that can be set."""
    inside = map(vars, with_inner(optimizer))
    found = [each[name] for each in inside for name in ("_iterations", "_learning_rate")]
    return [each for each in found if isinstance(each, keras.Variable)]


def rate_of(optimizer) -> float:
    """Returns the learning rate of now, also of an optimizer that works on several devices."""
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def slots_of(optimizer):
    """Yields each slot with the weight it belongs to."""
    for slots in _lists_of(optimizer):
        yield from zip(slots, optimizer._trainable_variables, strict=True)


def averages_of(optimizer):
    """Yields the moving averages that an optimizer, or one it wraps, keeps (`use_ema=True`), each with its weight."""
    for each in with_inner(optimizer):
        if each.built and each.use_ema:
            pairs = zip(each._model_variables_moving_average, each._trainable_variables, strict=True)
            yield from ((average, weight) for average, weight in pairs if average is not None)


def averaging(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers of a model that keep moving averages of its weights (`use_ema=True`)."""
    return [each for outer in optimizers_of(model) for each in with_inner(outer) if each.use_ema]


def average_of(weight, optimizers: list[keras.optimizers.Optimizer]):
    """Returns the moving average that one of some optimizers, of `averaging`, keeps of a weight by now, or `None`."""
    pairs = (pair for each in optimizers for pair in averages_of(each))
    return next((average for average, variable in pairs if variable is weight), None)


def copies_of(optimizer):
    """Yields the slots of an optimizer that are values of a weight, not made of its gradients, each with the weight.

    Those are the moving averages, and what begins as a copy of the weights, such as what `ScheduleFreeAdamW` steps on.

    Args:
        optimizer: An optimizer, as it was just built over the weights.
    """
    yield from averages_of(optimizer)
    for each in with_inner(optimizer):
        for slots in _lists_of(each):
            pairs = [pair for pair in zip(slots, each._trainable_variables, strict=True) if pair[0] is not None]
            if all(_is_copy(*pair) for pair in pairs) and any(weight.numpy().any() for _, weight in pairs):
                yield from pairs


def _lists_of(optimizer):
    """Yields the lists of slots: every Keras optimizer keeps one entry per trainable variable, in their order."""
    for name, value in vars(optimizer).items():
        aligned = isinstance(value, list) and len(value) == len(optimizer._trainable_variables)
        if aligned and name not in {"_variables", "_trainable_variables"}:
            yield value


def _is_copy(slot, weight):
    """Tells whether an entry of a list is a variable with the values of a weight."""
    return isinstance(slot, keras.Variable) and np.array_equal(slot.numpy(), weight.numpy())

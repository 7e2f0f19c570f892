"""Compiled steps, kept for the next time the same network is looked at.

Tracing and compiling a step takes longer than running it a few times. A step is used again for as long as the model has
the same weights and is compiled as it was, and the same is asked of it. As with `predict`, a layer that is changed in
another way asks for `model.compile`.
"""

import weakref

import keras

from keras_slim.graph.kept_reading import forget_reading

MOST = 4  # steps of one model

_kept: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class Same:
    """Stands for an object in a key: equal only to what stands for the same one. It does not keep it alive."""

    def __init__(self, value):
        self._ref = weakref.ref(value)
        self._hash = id(value)

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        mine = self._ref()
        return mine is not None and isinstance(other, Same) and mine is other._ref()


def kept_step(model, asked, make):
    """Returns the step that was made for what is asked, or makes it.

    Args:
        model: The model. It is not kept alive, so a step must not hold it either.
        asked: Hashable value that says what is asked of the step; `None` where it cannot be said: nothing is kept then.
        make: Function of no argument that makes the step.
    """
    if asked is None or not _is_told_by_its_parts(model):
        return make()
    compiled = [*model.metrics, *filter(None, [model.optimizer])]  # of which `compile` makes new ones
    key = asked, tuple(map(Same, [*compiled, *model.variables]))
    steps = _kept.setdefault(model, {})
    step = steps.pop(key, None) or make()
    steps[key] = step  # as the last, so that the first is the one that was not used for longest
    if len(steps) > MOST:
        steps.pop(next(iter(steps)))
    return step


def forget_steps(model) -> None:
    """Drops the steps of a model, its twin, and the memory of weights that they hold: it is another network now."""
    _kept.pop(model, None)
    forget_reading(model)


def _is_told_by_its_parts(model):
    """Tells whether the loss changes only with what `compile` makes anew.

    It does not where a metric stays through `compile`, or where the loss is overridden for a while.
    """
    return type(model).metrics is keras.Model.metrics and "compute_loss" not in vars(model)

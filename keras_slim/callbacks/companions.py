"""Callbacks beside ours in the same `fit` that remember the best epoch so far.

After a cut, what they remember belongs to a network that is no more: weights that no longer fit, and a value that the
smaller network should not be held to before it is trained. `forget_best` lets them start anew, as at the beginning
of `fit`. Keras does not tell a callback of the others, so they are found by the model they hold.
"""

import gc

import keras

REMEMBERING = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def forget_best(model: keras.Model, params: dict) -> list[str]:
    """Makes the callbacks that watch a model forget the best value and weights they have seen.

    `EarlyStopping` and `ReduceLROnPlateau` start counting their patience again; `ModelCheckpoint` with
    `save_best_only` compares with epochs of the smaller network only.

    Args:
        model: The model that has been cut.
        params: What Keras told the callbacks of this `fit`; callbacks of an earlier one hold another dictionary.

    Returns:
        Class names of the callbacks that forgot something.
    """
    found = [each for each in gc.get_objects() if issubclass(type(each), REMEMBERING)]
    callbacks = [each for each in found if each.params is params and each.model is model]
    return [type(callback).__name__ for callback in callbacks if _forget(callback)]


def _forget(callback):
    """Sets what a callback remembers to its value at the beginning of `fit`; tells whether there was anything."""
    remembered = getattr(callback, "best", None) is not None
    for name, value in (("best", None), ("best_weights", None), ("wait", 0)):
        if hasattr(callback, name):
            setattr(callback, name, value)
    return remembered

"""Callbacks beside ours in the same `fit`.

Keras does not tell a callback of the others, so they are found by the list that holds and calls them all: it is one of
the callers of whatever a callback does. Checked on Keras 3.15.
"""

import inspect
from collections.abc import Callable

import keras

from keras_slim.callbacks.saying import warn
from keras_slim.optimizer_slots import with_inner

REMEMBERING = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def calling(callback: keras.callbacks.Callback) -> keras.callbacks.CallbackList | None:
    """Returns the list that is calling a callback, if one is."""
    frame = inspect.currentframe()
    while frame:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and any(each is callback for each in caller.callbacks):
            return caller
        frame = frame.f_back
    return None


def beside(callback: keras.callbacks.Callback) -> list[keras.callbacks.Callback]:
    """Returns all callbacks of the `fit` that is calling a callback, in order, itself among them."""
    fellows = calling(callback)
    return fellows.callbacks if fellows else []


def swap_back(callback: keras.callbacks.Callback, epoch: int) -> None:
    """Lets each `SwapEMAWeights` beside a callback put the weights that are trained back into the model.

    From the end of an epoch on, the model may hold their averages. They change places once, when an epoch begins; here
    also where `SwapEMAWeights` stands behind the callback.
    """
    for each in _swapping(callback):
        each.on_epoch_begin(epoch)


def measures_averages(callback: keras.callbacks.Callback) -> bool:
    """Tells whether validation measures the moving averages that the optimizer keeps (`use_ema=True`), not weights."""
    return bool(_swapping(callback))


def _swapping(callback):
    return [each for each in beside(callback) if isinstance(each, keras.callbacks.SwapEMAWeights)]


def forget_best(callbacks: list[keras.callbacks.Callback]) -> list[str]:
    """Makes callbacks forget the best value and weights they have seen.

    After a cut, what they remember belongs to a network that is no more: weights that no longer fit, or are zero by
    now, and a value that the smaller network should not be held to before it is trained. So they start anew, as at the
    beginning of `fit`: `EarlyStopping` and `ReduceLROnPlateau` count their patience again; `ModelCheckpoint` with
    `save_best_only` compares with epochs of the smaller network only.

    Args:
        callbacks: The callbacks of a `fit`, as `beside` returns them.

    Returns:
        Class names of the callbacks that forgot something.
    """
    return [type(each).__name__ for each in callbacks if isinstance(each, REMEMBERING) and _forget(each)]


def forget_epochs(callbacks: list[keras.callbacks.Callback], is_outdone: Callable[[int], bool]) -> None:
    """Makes each `EarlyStopping` forget its best weights, and begin anew, if a function says so of their epoch."""
    stopping = [each for each in callbacks if isinstance(each, keras.callbacks.EarlyStopping)]
    forget_best([each for each in stopping if each.best_weights is not None and is_outdone(each.best_epoch)])


def warn_of_averages(callback: keras.callbacks.Callback) -> None:
    """Warns if `fit` will end with averages that nobody has measured."""
    optimizer = callback.model.optimizer
    if optimizer and any(each.use_ema for each in with_inner(optimizer)) and not measures_averages(callback):
        warn(
            f"`{type(callback).__name__}` judges the weights that validation measures, and `fit` leaves their averages "
            "(`use_ema=True`), which may not hold the metric. Put `keras.callbacks.SwapEMAWeights()` beside it in "
            "the same `fit`: validation measures the averages then."
        )


def _forget(callback):
    """Sets what a callback remembers to its value at the beginning of `fit`; tells whether there was anything."""
    remembered = getattr(callback, "best", None) is not None
    for name, value in (("best", None), ("best_weights", None), ("wait", 0)):
        if hasattr(callback, name):
            setattr(callback, name, value)
    return remembered

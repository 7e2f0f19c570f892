"""A trial's checkpoint as a whole model: its structure changes in `fit`, so that weights alone would fit nothing.

keras-tuner calls `save_weights` of the model of a trial after its best epoch. To go on with a trial, or to give back
its model, it builds the hypermodel anew, which is as large as ever, and calls `load_weights` of that. Here these two
methods, of these objects alone, also write and read the whole model, beside the weights.
"""

import contextlib
import functools
import pathlib
from collections.abc import Callable

import keras

from keras_slim.pruning.adopt import become
from keras_slim.whole_files import written_whole

FILE = "model.keras"
"""Name of the whole model in the folder of a trial."""


def load_whole(model: keras.Model) -> None:
    """Lets `load_weights` of a model, once, make it the whole model that was saved beside the weights, if one was."""
    vars(model)["load_weights"] = functools.partial(_load, model)


def is_as_built(model: keras.Model) -> bool:
    """Tells whether a model that `load_whole` was called for is still as it was then."""
    return "load_weights" in vars(model)


@contextlib.contextmanager
def saving_whole(model: keras.Model, note: Callable[[pathlib.Path], None]):
    """Lets `save_weights` of a model save the whole model, too; what `fit` leaves is a model like any other.

    Args:
        model: The model.
        note: Function of the folder, which is called after each time.
    """
    vars(model).pop("load_weights", None)
    vars(model)["save_weights"] = functools.partial(_save, model, note)
    try:
        yield
    finally:
        vars(model).pop("save_weights", None)


def _save(model, note, filepath, *args, **kwargs):
    type(model).save_weights(model, filepath, *args, **kwargs)
    folder = pathlib.Path(filepath).parent
    with written_whole(folder / FILE, ending=".keras") as scratch:
        model.save(scratch)
    note(folder)


def _load(model, filepath, *args, **kwargs):
    whole = pathlib.Path(filepath).with_name(FILE)
    if not whole.exists():
        return type(model).load_weights(model, filepath, *args, **kwargs)
    become(model, keras.models.load_model(whole, compile=False))
    vars(model).pop("load_weights", None)
    return None

"""How a model was read, its functional twin, kept for the next time.

To read a model made of blocks means to call every layer of it anew, and Keras notes each call in the layer for good. So
the verbs of the library read a model once. The twin is kept as an attribute of the model, not in a table: it holds the
layers, and whatever they refer to, which may be the model itself.
"""

import dataclasses

import keras
import numpy as np

from keras_slim.graph.registry import find_rule
from keras_slim.graph.set_aside import set_aside
from keras_slim.held import PLAIN, layers_within, leaves_of

PLACE = "_keras_slim_reading"
"""Name of the attribute."""

OF_TRAINING = (
    *("compiled", "loss", "optimizer", "history", "steps_per_execution", "unrolled_steps_per_execution"),
    *("train_function", "test_function", "predict_function", "stop_training", "stop_predicting", "stop_evaluating"),
)
"""Attributes that say nothing of what a model computes; nor do those that begin with an underscore."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """What can be read in the place of a model.

    Args:
        twin: The functional twin on the same layers; the model itself if there was nothing to open.
        stand_ins: What stands in the twin for a layer or a model inside, by the `id` of that one.
    """

    twin: keras.Model
    stand_ins: dict[int, keras.Model]

    def opened(self, model: keras.Model) -> list[str]:
        """Returns the names of the layers, and models, of a model for which others stand in the twin."""
        layers = [each for each in layers_within(model) if self.stand_ins.get(id(each), each) is not each]
        return list(dict.fromkeys(each.name for each in layers if each is not model))


class _Kept:
    """A reading, and what its model was when it was made."""

    def __init__(self, model, reading):
        self.reading = reading
        self._parts = _parts(model)

    def is_of(self, model):
        """Tells whether a model is what it was."""
        parts = _parts(model)
        return len(parts) == len(self._parts) and all(map(_is_same, parts, self._parts))


def kept_reading(model: keras.Model) -> Reading | None:
    """Returns the reading that was kept, or `None` if there is none, or the model has other parts or attributes.

    What only the answers of the model can show, such as a global variable that its code reads, is not looked at.
    """
    kept = vars(model).get(PLACE)
    return kept.reading if isinstance(kept, _Kept) and kept.is_of(model) else None


def keep_reading(model: keras.Model, reading: Reading) -> None:
    """Keeps how a model was read."""
    vars(model)[PLACE] = _Kept(model, reading)
    own = {id(layer) for layer in layers_within(model)}
    set_aside(each for each in layers_within(reading.twin) if isinstance(each, keras.Model) and id(each) not in own)


def forget_reading(model: keras.Model) -> None:
    """Drops what was kept, and the layers that it holds."""
    vars(model).pop(PLACE, None)


def _parts(model):
    """Returns what a model is made of: itself, its layers and weights, their code, rules and attributes, flat."""
    parts = [*model.variables, *(getattr(model, "inputs", None) or ()), *(getattr(model, "outputs", None) or ())]
    for layer in layers_within(model):
        parts += [layer, type(layer), type(layer).call, find_rule(layer), layer.trainable, layer.dtype_policy]
        for name, value in list(vars(layer).items()):
            if not name.startswith("_") and name not in OF_TRAINING:
                parts += [name, *map(_part, leaves_of(value))]
    return parts


def _part(value):
    """Returns what tells a value from others: of an array, which may be written to, its contents."""
    return value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else value


def _is_same(one, other):
    return one is other or (isinstance(one, (*PLAIN, bytes)) and type(one) is type(other) and one == other)

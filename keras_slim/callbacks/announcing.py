"""What callbacks know of a model goes into the logs before any other callback reads them, whatever the order.

Keras gives all callbacks of a `fit` the same logs, one after the other: what stands before ours in the list, such as
`CSVLogger` or `TensorBoard`, would see nothing of what ours add. So another one stands in front of all and speaks for
ours. The list that calls them is given a new one, since it is walking along the old one when that happens. Checked on
Keras 3.15.
"""

import math
import numbers
from collections.abc import Mapping

import keras
import numpy as np

from keras_slim.callbacks.companions import beside, calling
from keras_slim.callbacks.count import Count
from keras_slim.distribution import check_distribution
from keras_slim.profiling.stored_bits import bits_of_one, rounded_to
from keras_slim.rewriting.calibration import rounding_layers


class Announcing(keras.callbacks.Callback):
    """Knows something of the model when an epoch ends, which belongs into the logs of that epoch.

    A class that derives from it says what it knows in `_known`, how weights can be stored that it holds in `_coded`,
    and of what it cuts the scores in `_scores`. In a loop that calls callbacks one by one, each speaks for itself.
    """

    _told: dict | None = None

    def _known(self, epoch: int) -> dict:
        """Returns what is known at the end of an epoch: numbers by name; integers count something."""
        return {}

    def _coded(self) -> dict[int, tuple[int, int]]:
        """Returns, by the id of a weight, how many numbers of it must be stored, and how many bits tell their places.

        All others are stored as they are.
        """
        return {}

    def _scores(self) -> dict[str, np.ndarray] | None:
        """Returns the scores of all units at the last cut, by layer; `None` before the first, or if there are none."""
        return None

    def set_model(self, model):
        check_distribution(model, type(self).__name__)
        super().set_model(model)

    def set_params(self, params):
        super().set_params(params)
        fellows = calling(self)
        if fellows and not any(isinstance(each, Herald) for each in fellows.callbacks):
            fellows.callbacks = [Herald(), *fellows.callbacks]

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and logs is not self._told:
            _announce([self], epoch, logs)


class Herald(keras.callbacks.Callback):
    """Says, before all other callbacks of a `fit`, what those know that are announcing."""

    def on_epoch_end(self, epoch, logs=None):
        ours = [each for each in beside(self) if isinstance(each, Announcing)]
        if ours and logs is not None:  # none, where somebody has taken them out of a list of their own
            _announce(ours, epoch, logs)


def _announce(callbacks, epoch, logs):
    for each in callbacks:
        each._told = logs
        logs.update({name: _plain(value) for name, value in each._known(epoch).items()})
    model, coded = callbacks[0].model, [each._coded() for each in callbacks]
    # A model with a `train_step` of its own may never be called itself: `count_params` says that it is not built.
    logs.setdefault("params", Count(sum(math.prod(weight.shape) for weight in model.weights)))
    logs["weight_bytes"] = Count(weight_bytes(model, {key: code for each in coded for key, code in each.items()}))


def _plain(value):
    return Count(value) if isinstance(value, numbers.Integral) else float(value)


def weight_bytes(model: keras.Model, coded: Mapping[int, tuple[int, int]]) -> int:
    """Returns the bytes in which the weights of a model can be stored, each as it takes least.

    Args:
        model: A built model.
        coded: As `Announcing._coded` returns it.
    """
    rounded = rounded_to([layer for layer in rounding_layers(model) if layer.rounding != "nothing"])
    return math.ceil(sum(_least_bits(weight, rounded, coded) for weight in model.weights) / 8)


def _least_bits(weight, rounded, coded):
    of_one, size = bits_of_one(weight, rounded), math.prod(weight.shape)
    values, places = coded.get(id(weight), (size, 0))
    return min(size * of_one, values * of_one + places)

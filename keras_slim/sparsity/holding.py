"""Zeros that stay zero after every step of any optimizer.

`Holder` lends each kernel a constraint that multiplies it by a mask. Keras applies constraints inside the compiled
step, after the optimizer's update, whatever that does: momentum, weight decay, several steps in one call. The mask is a
variable, so that other masks need no new compilation. The model's own constraints go on being applied, and are what is
left in the end.
"""

import keras
import numpy as np

from keras_slim.distribution import scope_of
from keras_slim.optimizer_slots import average_of
from keras_slim.sparsity.masks import Masks


class Masking(keras.constraints.Constraint):
    """Multiplies a weight by a mask, before and after the constraint that the weight has of its own.

    Args:
        weight: The weight, whose constraint it takes over.
        average: Moving average that the optimizer keeps of the weight, masked along with it. Optional.
    """

    def __init__(self, weight, average=None):
        self.own = weight.constraint
        self.average = average
        self.mask = keras.Variable(np.ones(weight.shape), trainable=False, dtype=weight.dtype, name="mask")

    def __call__(self, w):
        if self.average is not None:
            self.average.assign(self.average * self.mask)
        return w * self.mask if self.own is None else self.own(w * self.mask) * self.mask


class Holder:
    """Holds the weights of a model at zero that masks do not keep, while it trains.

    Args:
        model: A compiled model.
        weights: Its kernels to hold, by path, as `keras_slim.sparsity.kernels` returns them.

    Attributes:
        masks: The masks that are held now; at first, everything is kept.
    """

    def __init__(self, model: keras.Model, weights: dict[str, keras.Variable]):
        release(model)
        optimizer = model.optimizer
        if not optimizer.built:
            with scope_of(model):
                optimizer.build(model.trainable_variables)
        self._model = model
        self._weights = weights
        self.masks = Masks.ones(weights)
        with scope_of(model):
            for weight in weights.values():
                weight.constraint = Masking(weight, average_of(optimizer, weight))
        _compile_anew(model)

    def hold(self, masks: Masks) -> None:
        """Sets all weights to zero that the masks do not keep, and holds them there; frees those that they keep."""
        self.masks = masks
        for path, weight in self._weights.items():
            weight.constraint.mask.assign(masks[path].astype("float32"))
        self.tidy()
        if keras.backend.backend() == "jax":  # which takes the values of these variables for constants
            _compile_anew(self._model)

    def tidy(self) -> None:
        """Sets to zero what something other than a step has changed, and makes negative zeros positive."""
        for path, weight in self._weights.items():
            weight.assign(np.where(self.masks[path], weight.numpy(), 0))

    def release(self) -> None:
        """Gives the weights back their own constraints. Zeros are no longer held."""
        self.tidy()
        release(self._model)


def release(model: keras.Model) -> None:
    """Frees weights that are still held at zero after an interrupted `fit`.

    A callback that holds zeros does this itself when `fit` ends. Where it was interrupted, zeros stay held until the
    next callback of this package begins, or this function is called.

    Args:
        model: A model, of which the values do not change.
    """
    held = [weight for weight in model.weights if isinstance(weight.constraint, Masking)]
    for weight in held:
        weight.constraint = weight.constraint.own
    if held:
        model.train_function = None


def _compile_anew(model):
    """Makes the training step that is in use the one with the constraints of now."""
    model.train_function = None
    model.make_train_function()

"""Weights that stay what they must be after every step of any optimizer.

`Holder` lends each of them a constraint. Keras applies constraints inside the compiled step, after the optimizer's
update, whatever that does: momentum, weight decay, several steps in one call. The model's own constraints go on being
applied, and are what is left in the end. `MaskHolder` holds zeros, by a multiplication with a mask. The mask is a
variable, so that other masks need no new compilation.
"""

import functools

import keras
import numpy as np

from keras_slim.distribution import scope_of
from keras_slim.optimizer_slots import average_of, averaging
from keras_slim.sparsity.masks import Masks


class Holding(keras.constraints.Constraint):
    """Makes a weight what it must be, before and after the constraint that the weight has of its own.

    A class that derives from it says by `held` what the weight must be.

    Args:
        weight: The weight, whose constraint it takes over.
        optimizers: Those that may keep a moving average of the weight, which is held along with it.
    """

    def __init__(self, weight, optimizers=()):
        self.own = weight.constraint
        self._average_now = functools.partial(average_of, weight, optimizers)  # some are built in their first step

    def __call__(self, w):
        average = self._average_now()
        if average is not None:
            average.assign(self.held(average))
        return self.held(w) if self.own is None else self.held(self.own(self.held(w)))

    def held(self, w):
        """Returns what the weight must be in place of a value; of that, itself."""
        raise NotImplementedError

    def tidy(self, weight) -> None:
        """Makes the weight and its average what they must be, where something other than a step has changed them."""
        for each in self._with_average(weight):
            each.assign(self.held(each))

    def release(self, weight, model) -> None:
        """Gives the weight back its own constraint."""
        weight.constraint = self.own

    def _with_average(self, weight):
        average = self._average_now()
        return [weight] if average is None else [weight, average]


class Masking(Holding):
    """Multiplies a weight by a mask."""

    def __init__(self, weight, optimizers=()):
        super().__init__(weight, optimizers)
        self.mask = keras.Variable(np.ones(weight.shape), trainable=False, dtype=weight.dtype, name="mask")

    def held(self, w):
        return w * self.mask

    def tidy(self, weight):
        """Sets to zero what something other than a step has changed, and makes negative zeros positive."""
        for each in self._with_average(weight):
            each.assign(np.where(self.mask.numpy() != 0, each.numpy(), 0))


class Holder:
    """Holds weights of a model to what they must be, while it trains.

    A class that derives from it says by `lend` what that is.

    Args:
        model: A compiled model.
        weights: The weights to hold, by path.
    """

    def __init__(self, model: keras.Model, weights: dict[str, keras.Variable]):
        release(model)
        if not model.optimizer.built:
            with scope_of(model):
                model.optimizer.build(model.trainable_variables)
        self._model = model
        self._weights = weights
        optimizers = averaging(model)
        with scope_of(model):
            for path, weight in weights.items():
                weight.constraint = self.lend(path, weight, optimizers)
        self._compile_anew()

    def lend(self, path: str, weight: keras.Variable, optimizers: list[keras.optimizers.Optimizer]) -> Holding:
        """Returns the constraint that a weight gets."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Makes the weights what they must be, where something other than a step has changed them."""
        for weight in self._weights.values():
            weight.constraint.tidy(weight)

    def release(self) -> None:
        """Gives the weights back their own constraints. They are no longer held."""
        self.tidy()
        release(self._model)

    def _compile_anew(self):
        """Makes the training step that is in use the one with the constraints of now."""
        self._model.train_function = None
        self._model.make_train_function()


class MaskHolder(Holder):
    """Holds the weights of a model at zero that masks do not keep, while it trains; at first, everything is kept."""

    def lend(self, path, weight, optimizers):
        return Masking(weight, optimizers)

    def hold(self, masks: Masks) -> None:
        """Sets all weights to zero that the masks do not keep, and holds them there; frees those that they keep."""
        for path, weight in self._weights.items():
            weight.constraint.mask.assign(masks[path].astype("float32"))
        self.tidy()
        if keras.backend.backend() == "jax":  # which takes the values of these variables for constants
            self._compile_anew()


def release(model: keras.Model) -> None:
    """Frees weights that are still held, at zero or tied, after an interrupted `fit`.

    A callback that holds weights frees them itself when `fit` ends. Where it was interrupted, they stay held until the
    next callback of this package begins, or this function is called.

    Args:
        model: A model, of which the values do not change.
    """
    held = [weight for weight in model.weights if isinstance(weight.constraint, Holding)]
    for weight in held:
        weight.constraint.release(weight, model)
    if held:
        model.train_function = None

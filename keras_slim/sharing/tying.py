"""Weights that stay tied to one another in every step of any optimizer: training the values that they share.

Each tied weight gets the mean, or the sum, of the gradients of all that it is tied to, before the optimizer sees them;
and after the optimizer's update, the mean of their values. For an optimizer that treats all weights alike (SGD, Adam,
and most others), this is training each shared value as one parameter. An optimizer whose update depends on the place in
the matrix (Muon, Adafactor), or that remembers different things of the weights from before they were tied, moves the
value by the mean of the updates.
"""

import keras
import numpy as np
from keras import ops

from keras_slim.sharing.codes import Codes
from keras_slim.sparsity.holding import Holder, Holding

GRADIENTS = ("mean", "sum")


class Tying(Holding):
    """Makes all weights of one code the same, and those of code 0 zero.

    Where most weights are zero, it looks at the others only.

    Args:
        weight: The weight, whose constraint it takes over.
        optimizers: Those that may keep a moving average of the weight, which is tied along with it.
        codes: Integers of the shape of the weight.
        of_gradients: `"mean"` or `"sum"`.
    """

    def __init__(self, weight, optimizers, codes: np.ndarray, of_gradients: str):
        super().__init__(weight, optimizers)
        codes = codes.ravel().astype("int64")
        self._places, self._size = None, codes.size
        places = np.flatnonzero(codes)
        if 0 < 2 * places.size <= codes.size:
            self._places = keras.Variable(places[:, np.newaxis], trainable=False, dtype="int", name="places")
            codes = codes[places]
        sizes = np.bincount(codes, minlength=1)
        self._dtype = "float64" if weight.dtype == "float64" else "float32"
        self._codes = keras.Variable(codes, trainable=False, dtype="int", name="codes")
        self._members = np.zeros(len(sizes), "int32")
        self._members[codes] = np.arange(len(codes))
        self._is_value = np.arange(len(sizes)) > 0
        self._shares = (1 / np.maximum(sizes, 1)).astype(self._dtype)
        self._factors = self._shares if of_gradients == "mean" else np.ones_like(self._shares)

    def held(self, w):
        """Returns the mean of the weights of each code, computed as one of them and the mean offset from it.

        So what is tied already stays bit for bit, and what is rounded in a sum over many is small.
        """
        flat = self._flat(w)
        one = ops.take(flat, self._members)
        offsets = self._sums(flat - ops.take(one, self._codes))
        return self._spread(one + ops.multiply(offsets, self._shares), w)

    def gradient(self, gradient):
        """Returns the mean or the sum of the gradients of each code, and zero for zeros."""
        gradient = ops.convert_to_tensor(gradient)  # that of an embedding has only the rows in use
        return self._spread(ops.multiply(self._sums(self._flat(gradient)), self._factors), gradient)

    def release(self, weight, model):
        super().release(weight, model)
        vars(model.optimizer).pop("apply", None)

    def _flat(self, w):
        """Returns a weight, or what of it is not zero, as a vector."""
        flat = ops.reshape(w, (-1,))
        return ops.cast(flat if self._places is None else ops.take(flat, self._places[:, 0]), self._dtype)

    def _sums(self, flat):
        return ops.segment_sum(flat, self._codes, len(self._members))

    def _spread(self, values, like):
        """Returns the value of each code at the places of its weights, and zeros elsewhere."""
        flat = ops.take(ops.cast(ops.where(self._is_value, values, 0), like.dtype), self._codes)
        if self._places is not None:
            flat = ops.scatter_update(ops.zeros((self._size,), flat.dtype), self._places, flat)
        return ops.reshape(flat, like.shape)


class TyingHolder(Holder):
    """Ties the weights of a model that share a value, while it trains.

    Args:
        model: A compiled model.
        weights: The weights to tie, by path.
        codes: Which of them share a value.
        of_gradients: `"mean"` or `"sum"`.
    """

    def __init__(self, model: keras.Model, weights: dict[str, keras.Variable], codes: Codes, of_gradients: str):
        self._codes = codes
        self._of_gradients = of_gradients
        super().__init__(model, weights)
        model.optimizer.apply = _with_tied_gradients(model)

    def lend(self, path, weight, optimizers):
        return Tying(weight, optimizers, self._codes[path], self._of_gradients)


def _with_tied_gradients(model):
    """Returns the method `apply` of a model's optimizer, given tied gradients."""
    own = model.optimizer.apply

    def apply(grads, trainable_variables=None):
        variables = model.trainable_variables if trainable_variables is None else list(trainable_variables)
        return own([_tied(*pair) for pair in zip(grads, variables, strict=True)], variables)

    return apply


def _tied(gradient, weight):
    is_tied = gradient is not None and isinstance(weight.constraint, Tying)
    return weight.constraint.gradient(gradient) if is_tied else gradient

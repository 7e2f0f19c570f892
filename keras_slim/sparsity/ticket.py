"""A lottery ticket: which weights are kept, and the values from which they are trained."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError, invalid_argument
from keras_slim.reinitialization import fresh_clone
from keras_slim.sparsity.arrays_file import read_arrays, write_arrays
from keras_slim.sparsity.kernels import by_path, leaves
from keras_slim.sparsity.masks import Masks
from keras_slim.sparsity.values import check_fits, plain, put_back, values_of


class Ticket:
    """A sparse network before its training: masks, and the weights to train from.

    `keras_slim.callbacks.LotteryTicket` finds one that trains on its own as well as the dense network. Kept apart, it
    can be trained again, on other data or for longer: `ticket.apply(model)`, then
    `model.fit(..., callbacks=[slim.callbacks.HoldMasks(ticket.masks)])`.

    Args:
        masks: The `Masks`: which weights of each kernel are kept.
        weights: Dictionary of paths to values, of all weights of the model: biases, and what is not trained, too.

    Raises:
        TypeError: If `masks` are none.

    Reference:
        Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (arXiv 1803.03635).

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="net")
    >>> ticket = Ticket.of(model, Masks({"net/head/kernel": [[1, 0], [0, 1], [1, 0], [0, 0]]}))
    >>> model.set_weights([keras.ops.ones((4, 2)), keras.ops.ones((2,))])  # training
    >>> ticket.apply(model)
    >>> model.layers[0].bias.numpy()
    array([0., 0.], dtype=float32)
    >>> ticket
    Ticket(3 of 8 weights, density=0.3750)
    """

    def __init__(self, masks: Masks, weights: Mapping):
        if not isinstance(masks, Masks):
            expected = "`keras_slim.sparsity.Masks`"
            raise TypeError(invalid_argument("masks", type(self).__name__, expected=expected, received=masks))
        self.masks = masks
        self.weights = {str(path): plain(value) for path, value in weights.items()}

    def __repr__(self) -> str:
        return f"Ticket({self.masks.kept:,} of {self.masks.size:,} weights, density={self.density:.4f})"

    @classmethod
    def of(cls, model: keras.Model, masks: Masks) -> "Ticket":
        """Returns the ticket of masks and the values that the weights of a model have now."""
        return cls(masks, values_of(model))

    @property
    def density(self) -> float:
        """Share of the weights that are kept."""
        return 1 - self.masks.sparsity

    def apply(self, model: keras.Model) -> None:
        """Makes a model the sparse network before its training. Nothing holds the zeros; callbacks do.

        Raises:
            PlanMismatchError: If the ticket is for another model; nothing is changed.
        """
        self.masks.weights(model)
        put_back(model, self.weights)
        self.masks.apply(model)

    def random_reinit(self, model: keras.Model, seed: int) -> "Ticket":
        """Returns the same masks with weights drawn anew: the control that tells what the values are worth.

        Args:
            model: The model, whose layers say how. It is not changed. Layers that are not trained keep their values.
            seed: Seed of the weights.

        Raises:
            PlanMismatchError: If the ticket is for another model.
            UnsupportedLayerError: If the model is subclassed.
        """
        check_fits(model, self.weights)
        frozen = {id(weight) for layer in leaves(model) if not layer.trainable for weight in layer.weights}
        drawn = zip(by_path(model.weights).items(), _fresh_weights(model, seed), strict=True)
        return type(self)(
            self.masks, {path: self.weights[path] if id(old) in frozen else new for (path, old), new in drawn}
        )

    def random_mask(self, seed: int) -> "Ticket":
        """Returns the same weights with as many kept at random places: the control that tells what masks are worth."""
        return type(self)(self.masks.shuffled(seed), self.weights)

    def save(self, path) -> None:
        """Writes the ticket to a file that ends with `.npz`, whole or not at all."""
        arrays = self.masks.to_arrays()
        for number, (name, value) in enumerate(self.weights.items()):
            arrays[f"weight/{number}/path"] = np.array(name)
            arrays[f"weight/{number}/value"] = value
        write_arrays(path, arrays, type(self).__name__)

    @classmethod
    def load(cls, path) -> "Ticket":
        """Returns the ticket in a file that `save` wrote.

        Raises:
            ValueError: If it is no such file.
        """
        return read_arrays(path, "weight/0/path", cls.__name__, make=cls._from_arrays)

    @classmethod
    def _from_arrays(cls, arrays):
        weights = {}
        while f"weight/{len(weights)}/path" in arrays:
            number = len(weights)
            weights[str(arrays[f"weight/{number}/path"])] = arrays[f"weight/{number}/value"]
        return cls(Masks.from_arrays(arrays), weights)


def _fresh_weights(model, seed):
    """Returns values for the weights of a model, in order, drawn by the initializers of its layers."""
    try:
        return fresh_clone(model, seed).get_weights()
    except ValueError as error:
        raise UnsupportedLayerError(
            f"The weights of model '{model.name}' cannot be drawn anew. Expected a Functional or Sequential model of "
            f"layers that `from_config` makes again. Received {type(model).__name__}: {error}. Give `Ticket` the "
            "weights of another model that is built alike."
        ) from error

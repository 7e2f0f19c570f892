"""A moment of training to go back to."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_slim.optimizer_slots import optimizers_of
from keras_slim.sparsity.kernels import by_path
from keras_slim.sparsity.values import plain, put_back, values_of


class Moment:
    """The weights of a model and the state of its optimizers, as they were at one moment of training.

    The state is all that its optimizers hold: momenta, averages, the count of steps and the learning rate, so that a
    schedule begins anew. The layers stay the same, unlike those of a `keras_slim.pruning.snapshot.Snapshot`.

    Args:
        weights: Values by path, as `keras_slim.sparsity.values.values_of` returns them.
        optimizer: Values of the variables that `state_of` returns, in order.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], optimizer: list[np.ndarray]):
        self.weights = dict(weights)
        self.optimizer = list(optimizer)

    @classmethod
    def of(cls, model: keras.Model) -> "Moment":
        """Returns what a compiled model and its optimizers are now."""
        return cls(values_of(model), [plain(variable) for variable in state_of(model)])

    def restore(self, model: keras.Model) -> None:
        """Sets weights and the optimizers' state to what they were, also in the middle of `fit`."""
        put_back(model, self.weights)
        for variable, value in zip(state_of(model), self.optimizer, strict=True):
            variable.assign(value)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns arrays from which `from_arrays` makes the moment again."""
        named = {"weight": self.weights.values(), "optimizer": self.optimizer}
        return {f"{name}/{number}": value for name, values in named.items() for number, value in enumerate(values)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], model: keras.Model) -> "Moment | None":
        """Returns the moment of a model among arrays, or `None` if there is none."""
        if "weight/0" not in arrays:
            return None
        paths = by_path(model.weights)
        weights = {path: arrays[f"weight/{number}"] for number, path in enumerate(paths)}
        return cls(weights, [arrays[f"optimizer/{number}"] for number in range(len(state_of(model)))])


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables of all optimizers of a model, and builds that of `compile` if it is not built yet.

    Raises:
        RuntimeError: If another one is not built: which weights it trains, its own step alone knows.
    """
    optimizers = optimizers_of(model)
    waiting = [each for each in optimizers if not each.built]
    if model.optimizer in waiting:
        model.optimizer.build(model.trainable_variables)
        waiting.remove(model.optimizer)
    if waiting:
        names = ", ".join(repr(each.name) for each in waiting)
        raise RuntimeError(
            f"Training of model '{model.name}' could not go back to the state of all its optimizers. Expected them to "
            f"be built. Received some that are not: {names}. Call `build(weights)` of each before `fit`, with the "
            "weights that it trains."
        )
    return [variable for each in optimizers for variable in each.variables]

"""The states of layers that draw random numbers, such as dropout, which Keras does not save with the weights."""

import keras
import numpy as np


def random_states_of(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables of a model that are no weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def to_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the states of a model's random layers, from which `put_back` sets them again."""
    return {f"random/{number}": each.numpy() for number, each in enumerate(random_states_of(model))}


def put_back(model: keras.Model, arrays: dict) -> None:
    """Sets the states of a model's random layers to those that `to_arrays` has returned."""
    for number, variable in enumerate(random_states_of(model)):
        variable.assign(arrays[f"random/{number}"])

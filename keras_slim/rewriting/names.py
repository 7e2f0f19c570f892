"""Names for layers that are added to a model."""

import itertools

import keras

from keras_slim.graph.nodes import operations


class Names:
    """The names that a model has, and those given since.

    Args:
        model: A Functional or built Sequential model.
    """

    def __init__(self, model: keras.Model):
        self._taken = {operation.name for operation in operations(model)}

    def unused(self, name: str) -> str:
        """Returns a name, or the name with a number where it is taken already."""
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        found = next(each for each in names if each not in self._taken)
        self._taken.add(found)
        return found

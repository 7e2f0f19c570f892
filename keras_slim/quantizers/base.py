"""What every quantizer is, and how one is told by a string, a class, an instance or a config."""

import abc
import inspect

import keras

from keras_slim.identifiers import Registry
from keras_slim.quantizers.place import Place


class Quantizer(abc.ABC):
    """Rounds weights or activations to a few values, with a gradient to learn by.

    It only describes how: a layer keeps what is learned in the course of it, so that one instance serves many layers.
    The constructor only stores its arguments, so that `get_config` and `from_config` are inverse.
    """

    alias = None
    draws = False
    """Whether it draws random numbers, with the seed `seed`."""
    seed = None

    @abc.abstractmethod
    def num_values(self, place: Place) -> int:
        """Returns how many values a number can have: with two or three, products need no multiplication."""

    @abc.abstractmethod
    def __call__(self, x, place: Place, training=False):
        """Returns the rounded numbers.

        Args:
            x: Tensor of float32, or float64.
            place: What is rounded: weights or activations, its channels, and the variables that belong to it.
            training: Whether what is learned from `x` itself, such as a range, is to be learned.

        Returns:
            Tensor of the same shape and dtype.
        """

    def variables(self, place: Place) -> dict[str, dict]:
        """Returns what is kept for one place: by name, arguments of `keras.layers.Layer.add_weight`."""
        return {}

    def constraint(self) -> keras.constraints.Constraint | None:
        """Returns what holds the weights that are trained in place of the rounded ones, or `None`."""
        return None

    def get_config(self) -> dict:
        """Returns the constructor's arguments, as plain values."""
        return {}

    def __repr__(self):
        """Returns its name, with the options that are not the usual ones: `int(bits=4)`."""
        usual = inspect.signature(type(self)).parameters
        config = self.get_config().items()
        options = [f"{name}={value!r}" for name, value in config if name not in usual or value != usual[name].default]
        name = self.alias or type(self).__name__
        return f"{name}({', '.join(options)})" if options else name

    @classmethod
    def from_config(cls, config: dict) -> "Quantizer":
        """Returns a quantizer made with the arguments of `get_config`."""
        return cls(**config)


quantizers = Registry("quantizer", Quantizer)


def get(identifier, name, owner) -> Quantizer | None:
    """Returns the quantizer that an identifier stands for.

    Args:
        identifier: Alias, class, instance, or what `keras.saving.serialize_keras_object` makes of an instance; `None`
            for none.
        name: Name of the argument it came through.
        owner: Name of the function or class that was given it.

    Raises:
        ValueError: If there is no such quantizer.
        TypeError: If it is none of these kinds.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict) and "class_name" in identifier:
        identifier = keras.saving.deserialize_keras_object(identifier)
    return quantizers.get(identifier, name, owner)

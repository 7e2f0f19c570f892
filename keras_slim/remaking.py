"""Layers made again from their config, with the very functions, objects and classes that they hold."""

import keras

from keras_slim.errors import UnsupportedLayerError
from keras_slim.held import cannot_copy, is_stock, layers_within
from keras_slim.in_memory import ANEW, InMemory, carries, config_of
from keras_slim.likeness import check_alike

__all__ = ["ANEW", "config_of", "made_from"]


def made_from(config: dict, operation, kind: type | None = None):
    """Returns an operation made from the config of another.

    The functions it holds are those that the other holds, the same objects; so are objects of classes that are not
    Keras's, such as an initializer, unless their own entries of the config were changed.

    Args:
        config: That of the other from `config_of`, or one like it.
        operation: The other.
        kind: Class of what is made. Defaults to that of the other.

    Raises:
        UnsupportedLayerError: If that is not possible, or would give another layer: an argument of the constructor is
            not in the config, or a function is found by its name, and another one.

    Example:

    >>> def relu(x):
    ...     return keras.ops.minimum(keras.ops.relu(x), 0.5)
    >>> layer = keras.layers.Dense(2, activation=relu)
    >>> made_from(config_of(layer), layer).activation is relu
    True
    """
    kind = kind or type(operation)
    try:
        with keras.saving.custom_object_scope(_own_classes(operation)):
            return _made(kind, config, operation)
    except UnsupportedLayerError:
        raise
    except Exception as error:
        raise cannot_copy(operation, error) from error


def _own_classes(operation):
    """Returns the classes of the user's own that layers inside a layer have, by the names that Keras gives them."""
    classes = {}
    for cls in dict.fromkeys(type(each) for each in layers_within(operation)):
        name = keras.saving.get_registered_name(cls)
        if not is_stock(cls) and classes.setdefault(name, cls) is not cls:
            raise cannot_copy(operation, f"it holds layers of two classes that are called `{name}`")
    return classes


def _made(kind, config, operation):
    """Makes an operation in the first way that gives one with the functions and arguments of the other."""
    if isinstance(operation, keras.layers.Lambda) and isinstance(config.get("mask"), dict):
        config = {**config, "mask": keras.saving.deserialize_keras_object(config["mask"])}  # Keras leaves it as it is
    raised = None
    for entries in _readings(config):
        try:
            made = kind.from_config(entries)
            if kind is type(operation):
                check_alike(operation, made, is_built=False)
            return made
        except Exception as error:
            raised = raised or error
    raise raised


def _readings(config):
    """Returns, one by one, what may be meant by a config that carries objects.

    Those that are in it themselves are given themselves, or else by their configs; at last, whatever it carries is
    given itself: a layer inside may take functions only.
    """

    def given(value, change):
        value = change(value)
        if type(value) is dict:
            return {key: given(each, change) for key, each in value.items()}
        return type(value)(given(each, change) for each in value) if type(value) in (list, tuple) else value

    def held(value):
        return value.held if isinstance(value, InMemory) else value

    def serialized(value):
        return keras.saving.serialize_keras_object(value) if isinstance(value, InMemory) else value

    def every(value):
        is_told = type(value) is dict and carries(value)
        return keras.saving.deserialize_keras_object(value) if is_told else held(value)

    return (given(config, change) for change in (held, serialized, every))  # anew each time, since Keras changes them

"""What layers hold: other layers, functions of the user's own, a state beside their variables."""

import types

import keras

from keras_slim.errors import UnsupportedLayerError

STOCK = ("keras", "keras_slim")
"""Packages whose objects are what their config says."""

PLAIN = (str, int, float, bool, type(None))
HOLDERS = (keras.layers.Layer, list, tuple, dict)
"""What is looked into for layers."""
HOOKS = ("save_own_variables", "load_own_variables", "save_assets", "load_assets")


def layers_within(layer) -> list[keras.layers.Layer]:
    """Returns a layer and all layers inside it, those of wrappers and custom layers too."""
    return [each for each, _ in pairs_within(layer, layer)]


def pairs_within(old, new) -> list[tuple]:
    """Returns a layer and its copy, and whatever stands at the same place inside the two, `None` for nothing."""
    return [(one, other) for one, other in places_within(old, new) if isinstance(one, keras.layers.Layer)]


def is_of_keras(cls) -> bool:
    """Tells whether a class or a function is Keras's own."""
    return cls.__module__.partition(".")[0] == "keras"


def is_stock(cls: type) -> bool:
    """Tells whether a class is one of Keras's or ours."""
    return cls.__module__.partition(".")[0] in STOCK


def is_stock_function(function) -> bool:
    """Tells whether a function or a method was written in Keras, or by us."""
    return function.__module__.partition(".")[0] in STOCK


def is_own_function(value, layers=()) -> bool:
    """Tells whether a value is a function, or callable, and is not told by a name that Keras gives it itself.

    Args:
        value: Any object.
        layers: The `id`s of layers whose own methods do not count.
    """
    if not callable(value) or isinstance(value, type | keras.Operation | keras.Variable):
        return False
    if isinstance(value, types.FunctionType):
        return getattr(keras.activations, value.__name__, None) is not value
    if isinstance(value, types.MethodType):
        return id(value.__self__) not in layers
    return not is_stock(type(value))


def has_own_state(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer saves more than its variables, or makes something of them when it is loaded.

    Example:

    >>> has_own_state(keras.layers.StringLookup()), has_own_state(keras.layers.Conv2D(2, 3))
    (True, False)
    """
    cls = type(layer)
    own = [getattr(cls, hook, None) is not getattr(keras.layers.Layer, hook, None) for hook in HOOKS]
    # Layers of Keras that may hold their kernel in another form, such as quantized, have such methods for that alone.
    for_kernel = hasattr(cls, "enable_lora") and all(has_stock(cls, hook) for hook in HOOKS[:2])
    return any(own[2:] if for_kernel else own)


def has_stock(cls: type, name: str) -> bool:
    """Tells whether a method of a class is one of Keras's or ours."""
    return is_stock(next(each for each in cls.__mro__ if name in vars(each)))


def places_within(old, new) -> list[tuple]:
    """Returns the pairs of `pairs_within`, and likewise lists, tuples and dictionaries."""
    found, waiting = {}, [(old, new)]
    while waiting:
        old, new = waiting.pop()
        if (id(old), id(new)) not in found:
            found[id(old), id(new)] = old, new
            values = inside(old)
            others = values if new is old else inside(new)
            waiting += [(value, others.get(name)) for name, value in values.items() if isinstance(value, HOLDERS)]
    return list(found.values())


def inside(value) -> dict:
    """Returns the attributes of a layer, or the entries of a list, tuple or dictionary, by their names.

    A list may be a vocabulary: its plain entries are left out.
    """
    if isinstance(value, keras.layers.Layer):
        return vars(value)
    if isinstance(value, list | tuple):
        return {index: each for index, each in enumerate(value) if not isinstance(each, PLAIN)}
    return value if isinstance(value, dict) else {}


def leaves_of(value):
    """Returns what a list, tuple or dictionary holds, whatever its keys are."""
    if not isinstance(value, list | tuple | dict):
        return [value]
    return [leaf for each in (value.values() if isinstance(value, dict) else value) for leaf in leaves_of(each)]


def cannot_copy(operation, reason) -> UnsupportedLayerError:
    """Returns the error that names a layer of which no copy can be made."""
    name = type(operation).__name__
    return UnsupportedLayerError(
        f"Layer '{operation.name}' cannot be copied. Expected `{name}.from_config` to accept what `get_config` "
        f"returns. Received: {reason}. Give `{name}` a `get_config` that returns all arguments of its constructor, "
        "layers by `keras.saving.serialize_keras_object`, and a `from_config` that makes them again."
    )

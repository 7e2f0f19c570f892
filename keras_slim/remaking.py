"""Layers made again from their config, with the very functions, objects and classes that they hold.

A config tells a function by its name. That is no way to carry one that is in memory: Keras does not find it, or finds
another one of the same name, its own `relu` in place of the user's. So while a config is taken, something that carries
the function stands in for it, and gives it back when a layer is made from the config. Such a config is not for files.
"""

import contextlib
import inspect
import types
import warnings

import keras

from keras_slim.errors import UnsupportedLayerError

PLAIN = (str, int, float, bool, type(None))
STOCK = ("keras", "keras_slim")
"""Packages whose objects are what their config says."""

ANEW = "anew"
"""Entry of the config of an object in memory: it is to be made from its config, so that it draws another seed."""


def config_of(operation) -> dict | None:
    """Returns the config from which a copy of an operation can be made, by `made_from` alone.

    `None` for an operation of `keras.ops` that Keras cannot copy, since it was made from an array or a function: it has
    no weights, so it can be called again as it is.

    Raises:
        UnsupportedLayerError: If a layer has no config, or one that holds layers or variables themselves.
    """
    try:
        with _standing_in(operation), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
            config = operation.get_config()
    except NotImplementedError as error:
        if not isinstance(operation, keras.layers.Layer):
            return None
        if _has_own_arguments(type(operation)):
            raise cannot_copy(operation, error) from error
        policy = keras.dtype_policies.serialize(operation.dtype_policy)
        config = {"name": operation.name, "trainable": operation.trainable, "dtype": policy}
    except Exception as error:
        raise cannot_copy(operation, error) from error
    for name, value in config.items():
        if any(isinstance(leaf, keras.Operation | keras.Variable) for leaf in keras.tree.flatten(value)):
            raise cannot_copy(operation, f"`{name}` is an object, not its config, so that a copy would share it")
    return config


def _has_own_arguments(cls):
    """Tells whether the constructor of a layer has arguments beside those of every layer.

    Without, its config is known, also where Keras gives none since it was made with a `keras.DTypePolicy`.
    """
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    return any(each.kind is not each.VAR_KEYWORD for each in parameters)


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
            not in the config.

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
            made = _made(kind, config, operation)
    except UnsupportedLayerError:
        raise
    except Exception as error:
        raise cannot_copy(operation, error) from error
    if kind is type(operation):
        _check_arguments(config, operation, made)
    return made


def layers_within(layer):
    """Returns a layer and all layers inside it, those of wrappers and custom layers too."""
    found, waiting = {}, [layer]
    while waiting:
        value = waiting.pop()
        if isinstance(value, keras.Layer) and id(value) not in found:
            found[id(value)] = value
            waiting += vars(value).values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return list(found.values())


def is_stock(cls: type) -> bool:
    """Tells whether a class is one of Keras's or ours."""
    return cls.__module__.partition(".")[0] in STOCK


def is_stock_function(function) -> bool:
    """Tells whether a function or a method was written in Keras, or by us."""
    return function.__module__.partition(".")[0] in STOCK


def cannot_copy(operation, reason) -> UnsupportedLayerError:
    """Returns the error that names a layer of which no copy can be made."""
    name = type(operation).__name__
    return UnsupportedLayerError(
        f"Layer '{operation.name}' cannot be copied. Expected `{name}.from_config` to accept what `get_config` "
        f"returns. Received: {reason}. Give `{name}` a `get_config` that returns all arguments of its constructor, "
        "layers by `keras.saving.serialize_keras_object`, and a `from_config` that makes them again."
    )


class _Carrier(str):
    """A name in a config that carries an object; Keras takes it for a plain string."""

    held = None


@keras.saving.register_keras_serializable("keras_slim")
class InMemory:
    """Stands in for a function, or an object of the user's own, while a config is taken.

    Its config carries what it stands for, and the plain entries of the config of that.

    Args:
        held: What it stands for.
    """

    def __init__(self, held):
        self.held = held

    def __call__(self, *args, **kwargs):
        return self.held(*args, **kwargs)

    def __getattr__(self, name):
        if name == "held":
            raise AttributeError(name)
        return getattr(self.held, name)

    def get_config(self):
        carrier = _Carrier(getattr(self.held, "__name__", type(self.held).__name__))
        carrier.held = self.held
        return {**_plain_config(self.held), "held": carrier}

    @classmethod
    def from_config(cls, config):
        """Returns what the config carries, or one like it if other entries of the config have changed."""
        held, anew = config["held"].held, config.get(ANEW, False)
        entries = {key: value for key, value in config.items() if key not in ("held", ANEW)}
        if entries == _plain_config(held) and not anew:
            return held
        return type(held).from_config({**held.get_config(), **entries})


def _plain_config(held):
    try:
        return {key: value for key, value in held.get_config().items() if isinstance(value, PLAIN)}
    except (AttributeError, NotImplementedError, TypeError):
        return {}


@contextlib.contextmanager
def _standing_in(operation):
    """Puts stand-ins in the attributes of a layer and of those inside it; an `InMemory` computes as what it holds."""
    before, layers = [], {id(each) for each in layers_within(operation)}

    def replaced(value):
        if isinstance(value, list | tuple | dict):
            return _mapped(value, replaced)
        return InMemory(value) if _is_own(value, layers) else value

    try:
        for layer in layers_within(operation):
            for name, value in list(vars(layer).items()):
                stand_in = replaced(value)
                if stand_in is not value:
                    before.append((layer, name, value))
                    vars(layer)[name] = stand_in
        yield
    finally:
        for layer, name, value in before:
            vars(layer)[name] = value


def _is_own(value, layers):
    """Tells whether a value is a function, or callable, and is not told by a name that Keras gives it itself."""
    if not callable(value) or isinstance(value, type | keras.Operation | keras.Variable | InMemory):
        return False
    if isinstance(value, types.FunctionType):
        return getattr(keras.activations, value.__name__, None) is not value
    if isinstance(value, types.MethodType):
        return id(value.__self__) not in layers
    return not is_stock(type(value))


def _mapped(nested, change):
    """Returns a list, tuple or dictionary with each value changed; itself, if none is."""
    values = list(nested.values()) if isinstance(nested, dict) else list(nested)
    changed = [change(value) for value in values]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return nested
    if isinstance(nested, dict):
        return dict(zip(nested, changed, strict=True))
    return tuple(changed) if isinstance(nested, tuple) else changed


def _own_classes(operation):
    """Returns the classes of the user's own that layers inside a layer have, by the names that Keras gives them."""
    classes = {}
    for cls in dict.fromkeys(type(each) for each in layers_within(operation)):
        name = keras.saving.get_registered_name(cls)
        if not is_stock(cls) and classes.setdefault(name, cls) is not cls:
            raise cannot_copy(operation, f"it holds layers of two classes that are called `{name}`")
    return classes


def _made(kind, config, operation):
    """Makes an operation; for a stand-in itself in a config the constructor wants what it holds, or else its config."""

    def given(value, change):
        if type(value) in (list, tuple, dict):
            return _mapped(value, lambda each: given(each, change))
        return change(value) if isinstance(value, InMemory) else value

    config = dict(config)  # Keras changes it
    if isinstance(operation, keras.layers.Lambda) and isinstance(config.get("mask"), dict):
        config["mask"] = keras.saving.deserialize_keras_object(config["mask"])  # Keras leaves it as it is
    functions = given(config, lambda each: each.held)
    if functions is config:
        return kind.from_config(config)
    try:
        return kind.from_config(dict(functions))
    except Exception:
        return kind.from_config(given(config, keras.saving.serialize_keras_object))


def _check_arguments(config, operation, made):
    """Raises if an argument of the constructor that the config does not have came out otherwise."""
    if is_stock(type(operation)):
        return
    for name in inspect.signature(type(operation).__init__).parameters:
        old, new = (vars(each).get(name, ...) for each in (operation, made))
        if name not in config and all(isinstance(each, PLAIN) for each in (old, new)) and old != new:
            raise cannot_copy(operation, f"a config without `{name}`, which is {old!r} here and {new!r} in a copy")

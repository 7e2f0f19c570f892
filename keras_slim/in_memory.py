"""Configs of layers that carry the very functions and objects that the layers hold.

A config tells a function by its name. That is no way to carry one that is in memory: Keras does not find it, or finds
another one of the same name, its own `relu` in place of the user's. So while a config is taken, something that carries
the function stands in for it, and gives it back when a layer is made from the config. Such a config is not for files.
"""

import contextlib
import inspect
import threading
import types
import warnings

import keras

from keras_slim.held import PLAIN, cannot_copy, is_own_function, layers_within

ANEW = "anew"
"""Entry of the config of an object in memory: it is to be made from its config, so that it draws another seed."""

_LOCK = threading.RLock()
"""Held while something stands in for a function: the layers are then not as they are."""


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
        config = _settled(config)
    except NotImplementedError as error:
        if not isinstance(operation, keras.layers.Layer):
            return None
        if _has_own_arguments(type(operation)):
            raise cannot_copy(operation, error) from error
        policy = keras.dtype_policies.serialize(operation.dtype_policy)
        config = {"name": operation.name, "trainable": operation.trainable, "dtype": policy}
    except Exception as error:
        raise cannot_copy(operation, error) from error
    if not isinstance(config, dict):
        raise cannot_copy(operation, f"a `get_config` that returns {config!r}")
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


class _Carrier(str):
    """A name in a config that carries an object; Keras takes it for a plain string."""

    held = None


@keras.saving.register_keras_serializable("keras_slim")
class InMemory:
    """Stands in for a function while a config is taken; in the config, for an object of the user's own too.

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

    def __eq__(self, other):
        return self.held == (other.held if isinstance(other, InMemory) else other)

    def __hash__(self):
        return hash(self.held)

    def get_config(self):
        return {**_plain_config(self.held), "held": _carrier(self.held)}

    @classmethod
    def from_config(cls, config):
        """Returns what the config carries, or one like it if other entries of the config have changed."""
        held, anew = config["held"].held, config.get(ANEW, False)
        entries = {key: value for key, value in config.items() if key not in ("held", ANEW)}
        if entries == _plain_config(held) and not anew:
            return held
        return type(held).from_config({**held.get_config(), **entries})


def carries(config: dict) -> bool:
    """Tells whether an object as Keras serializes it carries the very one."""
    return isinstance(config.get("config"), dict) and isinstance(config["config"].get("held"), _Carrier)


def _carrier(held):
    carrier = _Carrier(getattr(held, "__name__", type(held).__name__))
    carrier.held = held
    return carrier


def _config(held):
    """Returns the config of an object by its class, an empty one if it has none."""
    try:
        return dict(type(held).get_config(held))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return {}


def _plain_config(held):
    return {key: value for key, value in _config(held).items() if isinstance(value, PLAIN)}


@contextlib.contextmanager
def _standing_in(operation):
    """Lets functions and objects in the attributes of a layer, and of those inside it, go along in their configs.

    An `InMemory`, which computes as they do, stands in for functions. An object stays where it is, since `get_config`
    may ask for its class, its length or its own config; it has another `get_config` meanwhile.
    """
    before, replacements, layers = [], {}, layers_within(operation)
    owners = {id(each) for each in layers}

    def put(attributes, name, value):
        before.append((attributes, name, attributes.get(name, before)))
        attributes[name] = value

    def replaced(value):
        if isinstance(value, list | tuple | dict):
            if id(value) not in replacements:
                replacements[id(value)] = value  # for one that holds itself
                replacements[id(value)] = _mapped(value, replaced)
            return replacements[id(value)]
        if not is_own_function(value, owners):
            return value
        if isinstance(value, types.FunctionType | types.MethodType) or not hasattr(value, "__dict__"):
            return InMemory(value)
        put(vars(value), "get_config", lambda: {**_config(value), "held": _carrier(value)})
        return value

    with _LOCK:
        try:
            for layer in layers:
                for name, value in list(vars(layer).items()):
                    stand_in = replaced(value)
                    if stand_in is not value:
                        put(vars(layer), name, stand_in)
            yield
        finally:
            for attributes, name, value in reversed(before):
                if value is before:
                    del attributes[name]
                else:
                    attributes[name] = value


def _settled(config):
    """Returns a nested config in which an `InMemory` stands for each object that Keras would make again.

    Where an object is made otherwise, its config is as it says itself. That models inside were compiled is left out.
    """
    if type(config) in (list, tuple):
        return _mapped(config, _settled)
    if type(config) is not dict:
        return config
    if "registered_name" in config and carries(config):
        return keras.saving.serialize_keras_object(InMemory(config["config"]["held"].held))
    dropped = ("compile_config",) if "class_name" in config else ()
    kept = {key: value for key, value in config.items() if not (key in dropped or isinstance(value, _Carrier))}
    return {key: _settled(value) for key, value in kept.items()}


def _mapped(nested, change):
    """Returns a list, tuple or dictionary with each value changed; itself, if none is."""
    values = list(nested.values()) if isinstance(nested, dict) else list(nested)
    changed = [change(value) for value in values]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return nested
    if isinstance(nested, dict):
        nested = nested.copy()  # keeps its class but for that with which Keras watches it
        nested.update(zip(nested, changed, strict=True))
        return nested
    if hasattr(nested, "_make"):
        return nested._make(changed)
    return tuple(changed) if isinstance(nested, tuple) else changed

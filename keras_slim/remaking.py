"""Layers made again from their config, with the functions of the user's own that they hold."""

import warnings

import keras


def config_of(operation) -> dict | None:
    """Returns the config from which a copy of an operation can be made.

    `None` for an operation of `keras.ops` that Keras cannot copy, since it was made from an array: it has no weights,
    so it can be called again as it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
            return operation.get_config()
    except NotImplementedError:
        if isinstance(operation, keras.layers.Layer):
            raise
        return None


def made_from(config: dict, operation):
    """Returns an operation of the type of another, made from a config.

    Args:
        config: That of the other from `config_of`, or one like it.
        operation: The other. It is in memory already: its own functions are as safe as they were.

    Example:

    >>> layer = keras.layers.Lambda(lambda x: 2 * x, name="twice")
    >>> made_from(config_of(layer), layer).name
    'twice'
    """
    trusted = {"safe_mode": False} if isinstance(operation, keras.layers.Lambda) else {}
    return type(operation).from_config(config, **trusted)

"""What stands in Keras 3 for operations of TensorFlow between the layers of a model of `tf_keras`.

`x + y` and `tf.nn.relu(x)` on the tensors of a Functional model are layers `TFOpLambda` there.
"""

from collections.abc import Callable

import keras
from keras import layers, ops

from keras_slim.migration.layers import NoCounterpartError

KINDS = ("TFOpLambda", "SlicingOpLambda")
NUMBER = int | float


def _sum(name, x, y=None):
    return layers.Rescaling(1.0, y, name=name)(x) if isinstance(y, NUMBER) else layers.Add(name=name)([x, y])


def _difference(name, x, y=None):
    return layers.Rescaling(1.0, -y, name=name)(x) if isinstance(y, NUMBER) else layers.Subtract(name=name)([x, y])


def _product(name, x, y=None):
    return layers.Rescaling(y, name=name)(x) if isinstance(y, NUMBER) else layers.Multiply(name=name)([x, y])


def _quotient(name, x, y=None):
    return layers.Rescaling(1 / y, name=name)(x) if isinstance(y, NUMBER) else ops.divide(x, y)


def _activation(function):
    return lambda name, x: layers.Activation(function, name=name)(x)


def _item(name, x, slice_spec=None):
    parts = [
        slice(part["start"], part["stop"], part["step"]) if isinstance(part, dict) else part for part in slice_spec
    ]
    return x[tuple(parts)]


MADE: dict[str, Callable] = {
    "__operators__.add": _sum,
    "__operators__.getitem": _item,
    "concat": lambda name, values, axis=-1: layers.Concatenate(axis, name=name)(values),
    "math.add": _sum,
    "math.divide": _quotient,
    "math.multiply": _product,
    "math.reduce_mean": lambda name, x, axis=None, keepdims=False: ops.mean(x, axis, keepdims),
    "math.sigmoid": _activation("sigmoid"),
    "math.subtract": _difference,
    "math.tanh": _activation("tanh"),
    "math.truediv": _quotient,
    "nn.gelu": _activation("gelu"),
    "nn.relu": _activation("relu"),
    "nn.relu6": _activation("relu6"),
    "nn.silu": _activation("silu"),
    "nn.softmax": _activation("softmax"),
    "reshape": lambda name, x, shape: ops.reshape(x, shape),
}


def check_operation(entry: dict) -> None:
    """Raises `NoCounterpartError` if there is none for an operation."""
    function = entry["config"]["function"]
    if function not in MADE:
        raise NoCounterpartError(f"the operation tf.{function} between layers; those that are known: {', '.join(MADE)}")


def called(entry: dict, args: list, kwargs: dict) -> keras.KerasTensor:
    """Returns what an operation gives, as an operation of Keras 3.

    Args:
        entry: What `tf_keras` writes of it.
        args: What it is called with.
        kwargs: As `args`, by name.

    Raises:
        NoCounterpartError: If it is called as no counterpart can be.
    """
    function = entry["config"]["function"]
    given = {key: value for key, value in kwargs.items() if key != "name" and value is not None}
    try:
        return MADE[function](entry["config"]["name"].replace("/", "_"), *args, **given)
    except Exception as error:  # whatever Keras has to say of it
        reason = f"the operation tf.{function}, called so: {str(error).strip().splitlines()[0]}"
        raise NoCounterpartError(reason) from error

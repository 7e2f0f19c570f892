"""What every network has in common: checked arguments, a place for its weights, a convolution with batch norm."""

import dataclasses
import os
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_slim.errors import first_sentence, invalid_argument
from keras_slim.validation import check_choice, check_count

MOMENTUM = 0.9
"""Of batch normalization, as the authors of most of the networks have it; Keras's own default is 0.99."""

ENDINGS = (".weights.h5", ".keras", ".npz")
IMAGENET = (224, 224, 3)
POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


@dataclasses.dataclass(frozen=True)
class Network:
    """The arguments that all builders take, checked, and what is made of them.

    Args:
        owner: Name of the builder.
        include_top: Whether the network classifies; without it, the output are features.
        weights: Path of a file with weights, or `None` for fresh ones.
        input_shape: Shape of an image, in the order of `keras.config.image_data_format()`, or `None`.
        pooling: `None`, or how features are pooled over positions if the network does not classify.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` for logits.
        name: Name of the model.
    """

    owner: str
    include_top: bool
    weights: Any
    input_shape: tuple[int, int, int] | None
    pooling: str | None
    classes: int
    classifier_activation: Any
    name: str | None

    def __post_init__(self):
        if not isinstance(self.include_top, bool):
            raise TypeError(
                invalid_argument("include_top", self.owner, expected="True or False", received=self.include_top)
            )
        check_choice(self.pooling, "pooling", self.owner, (None, *POOLINGS))
        check_count(self.classes, "classes", self.owner)
        _check_activation(self.classifier_activation, self.owner)
        _check_file(self.weights, self.owner)

    def inputs(self, default, minimum=1) -> Any:
        """Returns the input.

        Args:
            default: Rows, columns and channels of an image unless `input_shape` says otherwise.
            minimum: The fewest rows and columns that leave something to compute.

        Raises:
            TypeError: If `input_shape` is no tuple of three integers.
            ValueError: If it is too small.
        """
        is_first = keras.config.image_data_format() == "channels_first"
        if self.input_shape is None:
            return keras.Input((default[-1], *default[:-1]) if is_first else default, name="image")
        order = "(channels, rows, columns)" if is_first else "(rows, columns, channels)"
        expected = f"three integers {order}, of at least {minimum} rows and columns"
        hint = f"The order is that of keras.config.image_data_format(), {keras.config.image_data_format()!r}."
        message = invalid_argument("input_shape", self.owner, expected=expected, received=self.input_shape, hint=hint)
        try:
            shape = tuple(check_count(size, "input_shape", self.owner) for size in self.input_shape)
        except (TypeError, ValueError) as error:
            raise type(error)(message) from None
        if len(shape) != 3 or min(shape[1:] if is_first else shape[:-1]) < minimum:
            raise ValueError(message)
        return keras.Input(shape, name="image")

    def classifier(self, x, name="predictions", **options) -> Any:
        """Returns the answers of a last dense layer to features."""
        return layers.Dense(self.classes, self.classifier_activation, name=name, **options)(x)

    def model(self, inputs, x) -> keras.Model:
        """Returns the model, its features pooled if they are to be, with the weights of the file if there is one.

        Raises:
            ValueError: If the file has not the weights of this network.
        """
        if self.pooling and not self.include_top and len(x.shape) > 2:
            x = POOLINGS[self.pooling](name="pool")(x)
        model = keras.Model(inputs, x, name=self.name)
        if self.weights is not None:
            try:
                _load(model, os.fspath(self.weights))
            except Exception as error:
                raise ValueError(
                    invalid_argument(
                        "weights",
                        self.owner,
                        expected="a file with the weights of this network, made with the same arguments",
                        received=self.weights,
                        hint=f"It does not fit: {first_sentence(error)}",
                    )
                ) from error
        return model


def _check_activation(activation, owner):
    try:
        keras.activations.get(activation)
    except Exception as error:
        message = invalid_argument(
            "classifier_activation",
            owner,
            expected="an activation of Keras, or None for logits",
            received=activation,
        )
        raise ValueError(message) from error


def _check_file(path, owner):
    if path is None:
        return
    expected = f"None, or the path of a file that ends with {', '.join(map(repr, ENDINGS[:-1]))} or {ENDINGS[-1]!r}"
    if not isinstance(path, str | os.PathLike):
        raise TypeError(invalid_argument("weights", owner, expected=expected, received=path))
    hint = "No weights come with keras_slim." if path == "imagenet" else ""
    if not os.fspath(path).endswith(ENDINGS):
        raise ValueError(invalid_argument("weights", owner, expected=expected, received=path, hint=hint))
    if not os.path.isfile(path):
        raise ValueError(invalid_argument("weights", owner, expected="a file that exists", received=path))


def _load(model, path):
    """Gives a model the weights of a file, those by name in an `.npz`, where what is not needed may be left over."""
    if not path.endswith(".npz"):
        model.load_weights(path)
        return
    variables = {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}
    with np.load(path, allow_pickle=False) as archive:
        missing = [name for name in variables if name not in archive.files]
        if missing:
            raise ValueError(f"{len(missing)} arrays are missing, the first is {missing[0]!r}.")
        for name, variable in variables.items():
            array = archive[name]
            if array.shape != tuple(variable.shape):
                raise ValueError(f"{name!r} has the shape {array.shape}, not {tuple(variable.shape)}.")
            variable.assign(array)


def check_filters(filters, owner, fits, expected) -> int:
    """Returns the number of filters of a block if it `fits`, or raises `TypeError` or `ValueError`."""
    if not fits(check_count(filters, "filters", owner)):
        raise ValueError(invalid_argument("filters", owner, expected=expected, received=filters))
    return filters


def channel_axis() -> int:
    """Returns the axis of the channels of a batch of images: 1 or -1, as Keras is configured."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def shape_of(x) -> tuple[int, int, int]:
    """Returns rows, columns and channels of images."""
    rows, columns = x.shape[2:] if channel_axis() == 1 else x.shape[1:-1]
    return rows, columns, x.shape[channel_axis()]


def part(name, of) -> str | None:
    """Returns the name of a layer in a block, or `None` if the block has no name."""
    return None if name is None else f"{name}_{of}"


def normalized(x, name=None) -> Any:
    """Returns images or features after batch normalization."""
    axis = channel_axis() if len(x.shape) > 2 else -1
    return layers.BatchNormalization(axis, momentum=MOMENTUM, name=part(name, "bn"))(x)


def convolved(x, filters, kernel_size, strides=1, *, name=None, **options) -> Any:
    """Returns `x` after a convolution without bias, padded, and batch normalization."""
    options = {"padding": "same", "use_bias": False, "name": name, **options}
    return normalized(layers.Conv2D(filters, kernel_size, strides, **options)(x), name)


def convolved_by_channel(x, kernel_size, strides=1, *, name=None) -> Any:
    """Returns `x` after a depthwise convolution without bias, padded, and batch normalization."""
    layer = layers.DepthwiseConv2D(kernel_size, strides, padding="same", use_bias=False, name=name)
    return normalized(layer(x), name)


def padded_pooling(x, strides=2, *, name=None) -> Any:
    """Returns `x` after pooling of size 3, padded."""
    return layers.MaxPooling2D(3, strides, padding="same", name=name)(x)

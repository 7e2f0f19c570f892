"""Small VGGs for CIFAR-10 in which lottery tickets were found: Conv-2, Conv-4 and Conv-6."""

from typing import Any

import keras
from keras import layers

from keras_slim.models.building import Network

FILTERS = 64, 128, 256


def ConvTwo(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "conv_2",
) -> keras.Model:
    """Conv-2 of the lottery tickets: two convolutions, 4,301,642 parameters.

    43,780,608 multiply-accumulates. Two convolutions of 64 filters, 3x3, pooled, then 256 and 256 neurons. Kernels
    begin with normal values of Glorot, as in the paper. Without its top it ends with the pooling.

    Args:
        include_top: Whether the dense layers are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image, of at least 2 rows and columns. Defaults to 32 rows, 32 columns, 3 channels.
        pooling: As for `LeNet5`.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` for logits.
        name: Name of the model.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> ConvTwo().count_params()
    4301642

    Reference: J. Frankle and M. Carbin (2019), The Lottery Ticket Hypothesis, ICLR, figure 2.
    """
    network = Network("ConvTwo", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _conv_net(1, network)


def ConvFour(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "conv_4",
) -> keras.Model:
    """Conv-4 of the lottery tickets: four convolutions, 2,425,930 parameters.

    As `ConvTwo`, with two more convolutions of 128 filters, pooled. 98,306,560 multiply-accumulates.

    Args:
        include_top: As for `ConvTwo`.
        weights: As for `LeNet300100`.
        input_shape: As for `ConvTwo`, of at least 4 rows and columns.
        pooling: As for `LeNet5`.
        classes: As for `ConvTwo`.
        classifier_activation: As for `ConvTwo`.
        name: As for `ConvTwo`.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> ConvFour().count_params()
    2425930

    Reference: J. Frankle and M. Carbin (2019), The Lottery Ticket Hypothesis, ICLR, figure 2.
    """
    network = Network("ConvFour", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _conv_net(2, network)


def ConvSix(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "conv_6",
) -> keras.Model:
    """Conv-6 of the lottery tickets: six convolutions, 2,262,602 parameters.

    As `ConvFour`, with two more convolutions of 256 filters, pooled. 153,881,088 multiply-accumulates. The paper prints
    1.7 million parameters; its own list of layers gives this.

    Args:
        include_top: As for `ConvTwo`.
        weights: As for `LeNet300100`.
        input_shape: As for `ConvTwo`, of at least 8 rows and columns.
        pooling: As for `LeNet5`.
        classes: As for `ConvTwo`.
        classifier_activation: As for `ConvTwo`.
        name: As for `ConvTwo`.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> ConvSix().count_params()
    2262602

    Reference: J. Frankle and M. Carbin (2019), The Lottery Ticket Hypothesis, ICLR, figure 2.
    """
    network = Network("ConvSix", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _conv_net(3, network)


def _conv_net(pairs, network):
    """Returns the network of as many pairs of convolutions."""
    inputs = x = network.inputs((32, 32, 3), minimum=2**pairs)
    normal = {"kernel_initializer": "glorot_normal"}
    for pair, filters in enumerate(FILTERS[:pairs]):
        for number in (2 * pair + 1, 2 * pair + 2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}", **normal)(x)
        x = layers.MaxPooling2D(name=f"pool{pair + 1}")(x)
    if network.include_top:
        x = layers.Flatten(name="flatten")(x)
        for number in (1, 2):
            x = layers.Dense(256, "relu", name=f"dense{number}", **normal)(x)
        x = network.classifier(x, **normal)
    return network.model(inputs, x)

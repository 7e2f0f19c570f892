"""The small VGG for CIFAR-10 on which networks with binary weights are compared."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_slim.errors import invalid_argument
from keras_slim.models.building import Network, convolved, normalized
from keras_slim.validation import check_count


def VGGSmall(
    hidden: Sequence[int] = (),
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "vgg_small",
) -> keras.Model:
    """VGG-small: six convolutions for CIFAR-10, 4,656,512 weights in kernels.

    Pairs of convolutions of 128, 256 and 512 filters, 3x3, each with batch normalization and ReLU, each pair pooled,
    then one dense layer: 4,663,690 parameters with those of batch normalization, 607,600,640 multiply-accumulates.
    Layers of 1024 and 1024 neurons before the last, `hidden=(1024, 1024)`, make it the network of BinaryConnect and
    BNN: 14,022,016 weights in kernels, 616,966,144 multiply-accumulates. Both are float networks; `slim.quantize` gives
    them few bits.

    Args:
        hidden: Numbers of neurons of dense layers before the last one.
        include_top: Whether the dense layers are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image, of at least 8 rows and columns. Defaults to 32 rows, 32 columns, 3 channels.
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

    >>> VGGSmall().count_params()
    4663690

    Reference: I. Hubara et al. (2016), Binarized Neural Networks, NeurIPS; D. Zhang et al. (2018), LQ-Nets, ECCV.
    """
    network = Network("VGGSmall", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    if not isinstance(hidden, list | tuple):
        expected = "numbers of neurons, such as (1024, 1024), or ()"
        raise TypeError(invalid_argument("hidden", "VGGSmall", expected=expected, received=hidden))
    hidden = [check_count(units, "hidden", "VGGSmall") for units in hidden]
    inputs = x = network.inputs((32, 32, 3), minimum=8)
    for pair, filters in enumerate((128, 256, 512)):
        for number in (2 * pair + 1, 2 * pair + 2):
            x = layers.ReLU(name=f"conv{number}_relu")(convolved(x, filters, 3, name=f"conv{number}"))
        x = layers.MaxPooling2D(name=f"pool{pair + 1}")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for number, units in enumerate(hidden, start=1):
            x = layers.Dense(units, use_bias=False, name=f"dense{number}")(x)
            x = layers.ReLU(name=f"dense{number}_relu")(normalized(x, f"dense{number}"))
        x = network.classifier(x)
    return network.model(inputs, x)

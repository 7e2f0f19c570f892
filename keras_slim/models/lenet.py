"""The LeNets for handwritten digits, as papers on pruning and compression have them."""

from typing import Any

import keras
from keras import layers

from keras_slim.models.building import Network

DIGITS = (28, 28, 1)


def LeNet300100(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "lenet_300_100",
) -> keras.Model:
    """LeNet-300-100: three dense layers for digits, 266,610 parameters.

    266,200 multiply-accumulates. Kernels begin with normal values of Glorot, as for lottery tickets (Frankle & Carbin
    2019). Without its top it ends with the 100 neurons.

    Args:
        include_top: Whether the layer that classifies is there.
        weights: `None` for fresh weights, or the path of a file: `.weights.h5` or `.keras` as Keras saves them, or
            `.npz` with an array for each `layer/variable`.
        input_shape: Shape of an image. Defaults to 28 rows, 28 columns, 1 channel.
        pooling: As for `LeNet5`. Features have no positions here, so that nothing is done.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` for logits.
        name: Name of the model.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> LeNet300100().count_params()
    266610

    Reference: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner (1998), Gradient-Based Learning Applied to Document
    Recognition, Proc. IEEE 86, figure 9.
    """
    network = Network("LeNet300100", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    inputs = network.inputs(DIGITS)
    x = layers.Flatten(name="flatten")(inputs)
    for number, units in enumerate((300, 100), start=1):
        x = layers.Dense(units, "relu", kernel_initializer="glorot_normal", name=f"dense{number}")(x)
    return network.model(inputs, network.classifier(x, kernel_initializer="glorot_normal") if include_top else x)


def LeNet5(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "lenet_5",
) -> keras.Model:
    """LeNet-5 as in Caffe: two convolutions for digits, 431,080 parameters.

    2,293,000 multiply-accumulates. Convolutions of 20 and 50 filters, 5x5, without activation, each pooled; then 500
    neurons. Papers on compression count against this one. Without its top it ends with the second pooling.

    Args:
        include_top: Whether the dense layers are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image, of at least 16 rows and columns. Defaults to 28 rows, 28 columns, 1 channel.
        pooling: What is made of the features at all positions, without the top: `None` leaves them, `"avg"` takes their
            mean, `"max"` their maximum.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` for logits.
        name: Name of the model.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> LeNet5().count_params()
    431080

    Reference: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner (1998), Gradient-Based Learning Applied to Document
    Recognition, Proc. IEEE 86; the widths are of Y. Jia et al. (2014), Caffe, examples/mnist.
    """
    network = Network("LeNet5", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    inputs = x = network.inputs(DIGITS, minimum=16)
    for number, filters in enumerate((20, 50), start=1):
        x = layers.Conv2D(filters, 5, name=f"conv{number}")(x)
        x = layers.MaxPooling2D(name=f"pool{number}")(x)
    if include_top:
        x = layers.Dense(500, "relu", name="dense1")(layers.Flatten(name="flatten")(x))
        x = network.classifier(x)
    return network.model(inputs, x)

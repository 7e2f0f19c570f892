"""AlexNet, which smaller networks are measured against."""

from typing import Any

import keras
from keras import layers

from keras_slim.models.building import Network


def AlexNet(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "alexnet",
) -> keras.Model:
    """AlexNet of 2012, its halves as grouped convolutions, 60,965,224 parameters.

    724,406,816 multiply-accumulates of an image of 227 rows and columns, as Caffe's copy of it takes them. It is the
    original with two groups in three of its convolutions, not the later one of a single tower. Its local response
    normalization is left out: Keras has none, and it has no parameters. Without its top it ends with the last pooling.

    Args:
        include_top: Whether the dense layers are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image, of at least 67 rows and columns. Defaults to 227 rows, 227 columns, 3 channels.
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

    >>> AlexNet(include_top=False).count_params()
    2334080

    Reference: A. Krizhevsky, I. Sutskever and G. E. Hinton (2012), ImageNet Classification with Deep Convolutional
    Neural Networks, NeurIPS, figure 2.
    """
    network = Network("AlexNet", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    inputs = network.inputs((227, 227, 3), minimum=67)
    x = layers.Conv2D(96, 11, 4, activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = layers.Conv2D(256, 5, padding="same", groups=2, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    for number, filters, groups in ((3, 384, 1), (4, 384, 2), (5, 256, 2)):
        x = layers.Conv2D(filters, 3, padding="same", groups=groups, activation="relu", name=f"conv{number}")(x)
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for number in (6, 7):
            x = layers.Dense(4096, "relu", name=f"dense{number}")(x)
            x = layers.Dropout(0.5, name=f"dropout{number}")(x)
        x = network.classifier(x)
    return network.model(inputs, x)

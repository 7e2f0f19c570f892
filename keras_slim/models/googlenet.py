"""GoogLeNet: inception modules, the first network to win ImageNet with few parameters."""

from typing import Any

import keras
from keras import layers

from keras_slim.models.building import IMAGENET, Network, channel_axis, padded_pooling, part

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Filters of each module, in the order of `inception`; one whose name ends with `a` stands behind pooling."""


def GoogLeNet(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "googlenet",
) -> keras.Model:
    """GoogLeNet of 2014: nine inception modules, 6,998,552 parameters.

    1,582,671,872 multiply-accumulates of an image of 224 rows and columns. Left out are the two classifiers on the
    side, which only help to train, and local response normalization, which has no parameters.

    Args:
        include_top: Whether pooling over positions, dropout and the layer that classifies are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image. Defaults to 224 rows, 224 columns, 3 channels.
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

    >>> GoogLeNet().count_params()
    6998552

    Reference: C. Szegedy et al. (2015), Going Deeper with Convolutions, CVPR, table 1.
    """
    network = Network("GoogLeNet", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    inputs = network.inputs(IMAGENET)
    x = padded_pooling(_convolution(inputs, 64, 7, "conv1", strides=2), name="pool1")
    x = _convolution(_convolution(x, 64, 1, "conv2_reduce"), 192, 3, "conv2")
    for module, filters in MODULES.items():
        x = padded_pooling(x, name=f"pool{int(module[0]) - 1}") if module.endswith("a") else x
        x = inception(x, *filters, name=f"inception_{module}")
    if include_top:
        x = layers.Dropout(0.4, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
        x = network.classifier(x)
    return network.model(inputs, x)


def inception(
    x, ones: int, before_threes: int, threes: int, before_fives: int, fives: int, pooled: int, *, name=None
) -> Any:
    """An inception module: four branches beside each other.

    Args:
        x: A symbolic tensor, a batch of images.
        ones: Number of 1x1 filters.
        before_threes: Number of 1x1 filters before the 3x3 ones.
        threes: Number of 3x3 filters.
        before_fives: Number of 1x1 filters before the 5x5 ones.
        fives: Number of 5x5 filters.
        pooled: Number of 1x1 filters behind pooling.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor, a batch of images with `ones + threes + fives + pooled` channels.

    Example:

    >>> inception(keras.Input((28, 28, 192)), 64, 96, 128, 16, 32, 32).shape
    (None, 28, 28, 256)

    Reference: C. Szegedy et al. (2015), Going Deeper with Convolutions, CVPR, figure 2.
    """
    branches = [
        _convolution(x, ones, 1, part(name, "1x1")),
        _convolution(_convolution(x, before_threes, 1, part(name, "3x3_reduce")), threes, 3, part(name, "3x3")),
        _convolution(_convolution(x, before_fives, 1, part(name, "5x5_reduce")), fives, 5, part(name, "5x5")),
        _convolution(padded_pooling(x, strides=1, name=part(name, "pool")), pooled, 1, part(name, "pool_project")),
    ]
    return layers.Concatenate(channel_axis(), name=part(name, "concat"))(branches)


def _convolution(x, filters, kernel_size, name, strides=1):
    return layers.Conv2D(filters, kernel_size, strides, padding="same", activation="relu", name=name)(x)

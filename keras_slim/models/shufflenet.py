"""ShuffleNet: grouped 1x1 convolutions, between which channels are dealt out anew."""

import math
from typing import Any

import keras
from keras import layers

from keras_slim.errors import invalid_argument
from keras_slim.models.building import (
    IMAGENET,
    Network,
    channel_axis,
    check_filters,
    convolved,
    convolved_by_channel,
    padded_pooling,
    part,
    shape_of,
)
from keras_slim.validation import check_choice, check_count, check_positive

WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Channels of the second stage by number of groups."""

STEM = 24
UNITS = 4, 8, 4


def ShuffleNet(
    groups: int = 3,
    scale: float = 1.0,
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> keras.Model:
    """ShuffleNet, first version: grouped 1x1 convolutions with a channel shuffle.

    Parameters that are trained, and multiply-accumulates of an image of 224 rows and columns, at scale 1:

    | groups | trained | multiply-accumulates |
    | --- | --- | --- |
    | 1 | 1,531,936 | 143,078,976 |
    | 2 | 1,733,848 | 140,836,512 |
    | 3 | 1,865,728 | 137,460,672 |
    | 4 | 1,968,344 | 134,339,776 |
    | 8 | 2,434,768 | 138,365,952 |

    Args:
        groups: Number of groups of the 1x1 convolutions: 1, 2, 3, 4 or 8.
        scale: What the numbers of filters are multiplied by; they are rounded up to what the groups divide. The first
            convolution has 24, doubled from 2 on and halved below 1, as in the authors' repository.
        include_top: Whether pooling over positions and the layer that classifies are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image. Defaults to 224 rows, 224 columns, 3 channels.
        pooling: As for `LeNet5`.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` for logits.
        name: Name of the model. Defaults to `"shufflenet_g3"` with the groups.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> ShuffleNet(groups=3, scale=0.5, input_shape=(64, 64, 3), classes=10).output_shape
    (None, 10)

    Reference: X. Zhang, X. Zhou, M. Lin and J. Sun (2018), ShuffleNet: An Extremely Efficient Convolutional Neural
    Network for Mobile Devices, CVPR, table 1.
    """
    check_choice(groups, "groups", "ShuffleNet", tuple(WIDTHS))
    check_positive(scale, "scale", "ShuffleNet")
    name = f"shufflenet_g{groups}" if name is None else name
    network = Network("ShuffleNet", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    width = _rounded_up(WIDTHS[groups] * scale, 4 * groups)
    inputs = network.inputs(IMAGENET)
    stem = _rounded_up(STEM * 2.0 ** math.floor(math.log2(scale)), groups)
    x = layers.ReLU(name="stem_relu")(convolved(inputs, stem, 3, 2, name="stem"))
    x = padded_pooling(x, name="stem_pool")
    for stage, units in enumerate(UNITS):
        for unit in range(units):
            in_groups = 1 if (stage, unit) == (0, 0) else groups  # there are few channels yet
            options = {"strides": 1 if unit else 2, "groups": groups, "first_groups": in_groups}
            x = shuffle_unit(x, width << stage, **options, name=f"stage{stage + 2}_unit{unit + 1}")
    if include_top:
        x = network.classifier(layers.GlobalAveragePooling2D(name="pool")(x))
    return network.model(inputs, x)


def _rounded_up(number, divisor):
    return math.ceil(round(number / divisor, 6)) * divisor


def shuffle_unit(
    x, filters: int, strides: int = 1, groups: int = 3, *, first_groups: int | None = None, name: str | None = None
) -> Any:
    """The unit of `ShuffleNet`: grouped 1x1, shuffle, depthwise 3x3, grouped 1x1.

    Args:
        x: A symbolic tensor, a batch of images of known size.
        filters: Channels of the output, four times what `groups` divides. With strides of 1, as many as `x` has; with
            2, more.
        strides: 1, where the shortcut is added, or 2, where it is pooled and stands beside the others.
        groups: Number of groups of the 1x1 convolutions.
        first_groups: Number of groups of the first of them, if it is another.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor, a batch of images with `filters` channels.

    Raises:
        TypeError: If `filters` or `groups` is no integer.
        ValueError: If it is not as above, or the size of the images is unknown.

    Example:

    >>> shuffle_unit(keras.Input((28, 28, 240)), 480, strides=2).shape
    (None, 14, 14, 480)

    Reference: X. Zhang et al. (2018), ShuffleNet, figure 2.
    """
    check_count(groups, "groups", "shuffle_unit")
    channels = x.shape[channel_axis()]
    expected = f"a multiple of {4 * groups}, {'as many as' if strides == 1 else 'more than'} the {channels} channels"

    def fits(filters):
        return filters % (4 * groups) == 0 and (filters == channels if strides == 1 else filters > channels)

    check_filters(filters, "shuffle_unit", fits, expected)
    added = filters if strides == 1 else filters - channels
    first_groups = groups if first_groups is None else first_groups
    y = convolved(x, filters // 4, 1, groups=first_groups, name=part(name, "squeeze"))
    y = layers.ReLU(name=part(name, "squeeze_relu"))(y)
    y = shuffle_channels(y, groups, name=name) if groups > 1 else y
    y = convolved_by_channel(y, 3, strides, name=part(name, "depthwise"))
    y = convolved(y, added, 1, groups=groups, name=part(name, "expand"))
    if strides == 1:
        y = layers.Add(name=part(name, "add"))([x, y])
    else:
        x = layers.AveragePooling2D(3, strides, padding="same", name=part(name, "shortcut"))(x)
        y = layers.Concatenate(channel_axis(), name=part(name, "concat"))([x, y])
    return layers.ReLU(name=part(name, "relu"))(y)


def shuffle_channels(x, groups: int, *, name: str | None = None) -> Any:
    """Deals channels out anew, so that each group gets some of every other.

    Channel `i` of group `g` becomes channel `i * groups + g`. Layers of Keras alone, and no tensor of more than four
    axes, which is what a phone's GPU takes; a LiteRT file has no arithmetic with shapes for it.

    Args:
        x: A symbolic tensor, a batch of images of known size.
        groups: Number of groups that the channels stand in, one after the other.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor of the same shape.

    Raises:
        TypeError: If `groups` is no integer.
        ValueError: If the size is unknown, or the channels do not divide into the groups.

    Example:

    >>> import numpy as np
    >>> x = keras.Input((1, 1, 6))
    >>> shuffled = keras.Model(x, shuffle_channels(x, 2))
    >>> np.ravel(shuffled(np.arange(6.0).reshape(1, 1, 1, 6))).tolist()
    [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """
    check_count(groups, "groups", "shuffle_channels")
    rows, columns, channels = shape_of(x)
    if None in (rows, columns):
        raise ValueError(
            f"`shuffle_channels` needs images of known size, so that a file has no arithmetic with shapes. Received "
            f"x.shape={x.shape}. Give rows and columns in `input_shape`."
        )
    if channels % groups:
        expected = f"a divisor of the {channels} channels"
        raise ValueError(invalid_argument("groups", "shuffle_channels", expected=expected, received=groups))
    if channel_axis() == 1:
        apart, order = (groups, channels // groups, rows * columns), (2, 1, 3)
    else:
        apart, order = (rows * columns, groups, channels // groups), (1, 3, 2)
    together = x.shape[1:]
    x = layers.Permute(order, name=part(name, "shuffle"))(layers.Reshape(apart, name=part(name, "apart"))(x))
    return layers.Reshape(together, name=part(name, "together"))(x)

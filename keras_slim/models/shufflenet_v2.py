"""ShuffleNet v2: half of the channels go past each unit, then all are shuffled."""

from typing import Any

import keras
from keras import layers, ops

from keras_slim.models.building import (
    IMAGENET,
    Network,
    channel_axis,
    check_filters,
    convolved,
    convolved_by_channel,
    padded_pooling,
    part,
)
from keras_slim.models.shufflenet import STEM, UNITS, shuffle_channels
from keras_slim.validation import check_choice, check_positive

WIDTHS = {0.5: (48, 96, 192, 1024), 1.0: (116, 232, 464, 1024), 1.5: (176, 352, 704, 1024), 2.0: (244, 488, 976, 2048)}
"""Channels of the three stages and of the last convolution, by scale."""


def ShuffleNetV2(
    scale: float = 1.0,
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "shufflenet_v2",
) -> keras.Model:
    """ShuffleNet v2: half of the channels go past each unit, then all are shuffled.

    Parameters that are trained, and multiply-accumulates of an image of 224 rows and columns:

    | scale | trained | multiply-accumulates |
    | --- | --- | --- |
    | 0.5 | 1,366,792 | 40,476,448 |
    | 1 | 2,278,604 | 144,907,992 |
    | 1.5 | 3,503,624 | 295,759,392 |
    | 2 | 7,393,996 | 583,253,464 |

    Args:
        scale: Which of the four networks of the paper: 0.5, 1, 1.5 or 2.
        include_top: Whether pooling over positions and the layer that classifies are there.
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

    >>> ShuffleNetV2(0.5, input_shape=(64, 64, 3), classes=10).output_shape
    (None, 10)

    Reference: N. Ma, X. Zhang, H.-T. Zheng and J. Sun (2018), ShuffleNet V2: Practical Guidelines for Efficient CNN
    Architecture Design, ECCV, table 5.
    """
    scale = check_choice(check_positive(scale, "scale", "ShuffleNetV2"), "scale", "ShuffleNetV2", tuple(WIDTHS))
    network = Network("ShuffleNetV2", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    *widths, last = WIDTHS[scale]
    inputs = network.inputs(IMAGENET)
    x = layers.ReLU(name="stem_relu")(convolved(inputs, STEM, 3, 2, name="stem"))
    x = padded_pooling(x, name="stem_pool")
    for stage, (units, width) in enumerate(zip(UNITS, widths, strict=True), start=2):
        for unit in range(units):
            x = shuffle_unit_v2(x, width, strides=1 if unit else 2, name=f"stage{stage}_unit{unit + 1}")
    x = layers.ReLU(name="conv5_relu")(convolved(x, last, 1, name="conv5"))
    if include_top:
        x = network.classifier(layers.GlobalAveragePooling2D(name="pool")(x))
    return network.model(inputs, x)


def shuffle_unit_v2(x, filters: int, strides: int = 1, *, name: str | None = None) -> Any:
    """The unit of `ShuffleNetV2`: two branches of half the channels, then a shuffle.

    Args:
        x: A symbolic tensor, a batch of images of known size.
        filters: Channels of the output, an even number. With strides of 1, as many as `x` has.
        strides: 1, where half of the channels go past as they are, or 2, where both branches compute with all.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor, a batch of images with `filters` channels.

    Raises:
        TypeError: If `filters` is no integer.
        ValueError: If it is not as above, or the size of the images is unknown.

    Example:

    >>> shuffle_unit_v2(keras.Input((28, 28, 116)), 232, strides=2).shape
    (None, 14, 14, 232)

    Reference: N. Ma et al. (2018), ShuffleNet V2, figure 3.
    """
    channels = x.shape[channel_axis()]
    expected = f"an even number, as many as the {channels} channels" if strides == 1 else "an even number"

    def fits(filters):
        return filters % 2 == 0 and (strides > 1 or filters == channels)

    half = check_filters(filters, "shuffle_unit_v2", fits, expected) // 2
    if strides == 1:
        past, y = ops.split(x, 2, axis=channel_axis())
    else:
        past = convolved_by_channel(x, 3, strides, name=part(name, "past_depthwise"))
        past = convolved(past, half, 1, name=part(name, "past_expand"))
        past, y = layers.ReLU(name=part(name, "past_relu"))(past), x
    y = layers.ReLU(name=part(name, "squeeze_relu"))(convolved(y, half, 1, name=part(name, "squeeze")))
    y = convolved_by_channel(y, 3, strides, name=part(name, "depthwise"))
    y = layers.ReLU(name=part(name, "expand_relu"))(convolved(y, half, 1, name=part(name, "expand")))
    return shuffle_channels(layers.Concatenate(channel_axis(), name=part(name, "concat"))([past, y]), 2, name=name)

"""EfficientNet-Lite0: EfficientNet-B0 for phones, without squeeze-and-excite, with ReLU6."""

from typing import Any

import keras
from keras import layers

from keras_slim.models.building import IMAGENET, Network, channel_axis, convolved, convolved_by_channel, part

STAGES = (
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)
"""Of each stage: filters, number of blocks, kernel size, strides of the first block, and expansion."""


def EfficientNetLite0(
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "efficientnet_lite0",
) -> keras.Model:
    """EfficientNet-Lite0: inverted residuals with ReLU6, 4,694,024 parameters.

    With moving statistics; 4,652,008 are trained. 385,187,552 multiply-accumulates of an image of 224 rows and columns.
    The weights that Google trained take images as `(x - 127) / 128` of RGB values of 0 to 255, which is
    `keras.layers.Rescaling(1 / 128, offset=-127 / 128)`.

    Args:
        include_top: Whether pooling over positions, dropout and the layer that classifies are there.
        weights: As for `LeNet300100`. In an `.npz`, names are those of the layers, such as `b3_expand/kernel` and
            `b3_expand_bn/gamma`.
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

    >>> EfficientNetLite0().count_params()
    4694024

    Reference: M. Tan and Q. V. Le (2019), EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks,
    ICML, table 1; Lite0 is of the authors' repository.
    """
    network = Network(
        "EfficientNetLite0", include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )
    inputs = network.inputs(IMAGENET)
    x = layers.ReLU(6, name="stem_relu")(convolved(inputs, 32, 3, 2, name="stem"))
    number = 0
    for filters, blocks, kernel_size, strides, expansion in STAGES:
        for block in range(blocks):
            options = {"kernel_size": kernel_size, "strides": 1 if block else strides}
            x = inverted_residual(x, filters, expansion, **options, name=f"b{number}")
            number += 1
    x = layers.ReLU(6, name="head_relu")(convolved(x, 1280, 1, name="head"))
    if include_top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = network.classifier(layers.Dropout(0.2, name="dropout")(x), name="logits")
    return network.model(inputs, x)


def inverted_residual(
    x, filters: int, expansion: int = 6, kernel_size: int = 3, strides: int = 1, *, name: str | None = None
) -> Any:
    """An inverted residual: expanded by 1x1, convolved by channel, few channels again.

    `x` is added where the output has its shape.

    Args:
        x: A symbolic tensor, a batch of images.
        filters: Channels of the output.
        expansion: How many times as many channels as `x` has are between.
        kernel_size: Rows and columns of the depthwise convolution.
        strides: Its strides.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor, a batch of images with `filters` channels.

    Example:

    >>> inverted_residual(keras.Input((28, 28, 24)), 40, strides=2).shape
    (None, 14, 14, 40)

    Reference: M. Sandler et al. (2018), MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR, table 1.
    """
    channels, y = x.shape[channel_axis()], x
    if expansion > 1:
        y = convolved(y, expansion * channels, 1, name=part(name, "expand"))
        y = layers.ReLU(6, name=part(name, "expand_relu"))(y)
    y = convolved_by_channel(y, kernel_size, strides, name=part(name, "dw"))
    y = layers.ReLU(6, name=part(name, "dw_relu"))(y)
    y = convolved(y, filters, 1, name=part(name, "project"))
    return layers.Add(name=part(name, "add"))([x, y]) if strides == 1 and filters == channels else y

"""Residual networks for CIFAR-10, with the padded shortcut of the paper or one of convolutions."""

from typing import Any

import keras
from keras import layers, ops

from keras_slim.errors import invalid_argument
from keras_slim.models.building import Network, channel_axis, check_filters, convolved, part
from keras_slim.validation import check_choice, check_count

SHORTCUTS = "padded", "projection"


def CIFARResNet(
    depth: int = 20,
    width: int = 16,
    shortcut: str = "padded",
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> keras.Model:
    """ResNet for CIFAR-10, three stages of 3x3 convolutions; ResNet-20 to ResNet-110.

    Parameters that are trained, and multiply-accumulates of one image of 32 rows and columns:

    | depth | trained | with moving statistics | multiply-accumulates |
    | --- | --- | --- | --- |
    | 20 | 269,722 | 271,098 | 40,551,040 |
    | 32 | 464,154 | 466,426 | 68,862,592 |
    | 44 | 658,586 | 661,754 | 97,174,144 |
    | 56 | 853,018 | 857,082 | 125,485,696 |
    | 110 | 1,727,962 | 1,736,058 | 252,887,680 |

    With `shortcut="projection"`, 2,752 more are trained.

    Args:
        depth: Number of layers with kernels, `6 * blocks + 2` for so many blocks in each stage.
        width: Filters of the first stage; the second has twice, the third four times as many.
        shortcut: What goes past a block whose output has more channels. `"padded"`, option A of the paper: every second
            pixel, with channels of zeros. `"projection"`, option B: a 1x1 convolution with batch normalization. With
            padded shortcuts the first stage's channels run through the whole network, and those of the later ones
            that meet zeros cannot be pruned: choose `"projection"` to cut all of them.
        include_top: Whether pooling over positions and the layer that classifies are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image. Defaults to 32 rows, 32 columns, 3 channels.
        pooling: As for `LeNet5`.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` for logits.
        name: Name of the model. Defaults to `"resnet_20"` with the depth.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> resnet = CIFARResNet(20)
    >>> sum(weight.shape.num_elements() for weight in resnet.trainable_weights)
    269722

    Reference: K. He, X. Zhang, S. Ren and J. Sun (2016), Deep Residual Learning for Image Recognition, CVPR,
    section 4.2.
    """
    blocks, rest = divmod(check_count(depth, "depth", "CIFARResNet", minimum=8) - 2, 6)
    if rest:
        hint = f"The nearest are {6 * blocks + 2} and {6 * blocks + 8}."
        raise ValueError(
            invalid_argument("depth", "CIFARResNet", expected="a depth of 6 * blocks + 2", received=depth, hint=hint)
        )
    check_count(width, "width", "CIFARResNet")
    check_choice(shortcut, "shortcut", "CIFARResNet", SHORTCUTS)
    name = f"resnet_{depth}" if name is None else name
    network = Network("CIFARResNet", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    inputs = network.inputs((32, 32, 3))
    x = layers.ReLU(name="stem_relu")(convolved(inputs, width, 3, name="stem"))
    for stage in range(3):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            x = residual(x, width << stage, strides, shortcut, name=f"stage{stage + 1}_block{block + 1}")
    if include_top:
        x = network.classifier(layers.GlobalAveragePooling2D(name="pool")(x))
    return network.model(inputs, x)


def residual(x, filters: int, strides: int = 1, shortcut: str = "padded", *, name: str | None = None) -> Any:
    """Two 3x3 convolutions with a shortcut past them: the block of `CIFARResNet`.

    Args:
        x: A symbolic tensor, a batch of images.
        filters: Filters of both convolutions; with a padded shortcut, at least as many as `x` has channels.
        strides: Strides of the first one.
        shortcut: `"padded"` or `"projection"`, as for `CIFARResNet`.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor, a batch of images with `filters` channels.

    Raises:
        TypeError: If `filters` is no integer.
        ValueError: If it is not as above, or there is no such shortcut.

    Example:

    >>> x = keras.Input((32, 32, 16))
    >>> residual(x, 32, strides=2).shape
    (None, 16, 16, 32)

    Reference: K. He et al. (2016), Deep Residual Learning for Image Recognition, CVPR, figures 2 and 3.
    """
    check_choice(shortcut, "shortcut", "residual", SHORTCUTS)
    channels = x.shape[channel_axis()]
    fewest = channels if shortcut == "padded" else 1
    expected = f"at least the {channels} channels of `x`, or shortcut='projection'"
    missing = check_filters(filters, "residual", lambda filters: filters >= fewest, expected) - channels
    y = layers.ReLU(name=part(name, "conv1_relu"))(convolved(x, filters, 3, strides, name=part(name, "conv1")))
    y = convolved(y, filters, 3, name=part(name, "conv2"))
    if shortcut == "projection" and (missing or strides > 1):
        x = convolved(x, filters, 1, strides, name=part(name, "shortcut"))
    else:
        x = layers.MaxPooling2D(1, strides, name=part(name, "shortcut"))(x) if strides > 1 else x
        x = _with_zeros(x, missing) if missing else x
    return layers.ReLU(name=part(name, "relu"))(layers.Add(name=part(name, "add"))([x, y]))


def _with_zeros(x, number):
    """Returns images with so many channels of zeros more, half of them before the others."""
    widths = [(0, 0)] * 4
    widths[channel_axis()] = (number // 2, number - number // 2)
    return ops.pad(x, widths)

"""SqueezeNet: fire modules, a fiftieth of the parameters of AlexNet."""

from typing import Any

import keras
from keras import layers

from keras_slim.models.building import IMAGENET, Network, channel_axis, part
from keras_slim.validation import check_choice

FIRES = (16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)
"""Filters of each fire module: those that squeeze, and those of each half that expands."""

# Of each version: filters, size and the fire modules before which pooling stands.
VERSIONS = {"1.0": (96, 7, (2, 5, 9)), "1.1": (64, 3, (2, 4, 6))}


def SqueezeNet(
    version: str = "1.0",
    *,
    include_top: bool = True,
    weights: Any = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> keras.Model:
    """SqueezeNet 1.0 or 1.1: eight fire modules, 1.25 million parameters.

    | version | parameters | multiply-accumulates |
    | --- | --- | --- |
    | 1.0 | 1,248,424 | 818,924,576 |
    | 1.1 | 1,235,496 | 349,151,936 |

    There is no batch normalization: it is hard to train at a high rate with Adam. The original recipe is SGD with a
    rate of 0.04 that falls linearly, momentum 0.9, weight decay 2e-4. Without its top it ends with the last fire
    module.

    Args:
        version: `"1.0"`, of the paper, or `"1.1"`, which pools sooner and computes less than half.
        include_top: Whether dropout, the convolution that classifies and pooling over positions are there.
        weights: As for `LeNet300100`.
        input_shape: Shape of an image, of at least 32 rows and columns. Defaults to 224 rows, 224 columns, 3 channels.
        pooling: As for `LeNet5`.
        classes: Number of classes.
        classifier_activation: Activation of the answers; `None` for logits.
        name: Name of the model. Defaults to `"squeezenet_1_0"` with the version.

    Returns:
        A functional model, not compiled.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If its value is wrong, or the file holds other weights.

    Example:

    >>> SqueezeNet("1.1").count_params()
    1235496

    Reference: F. N. Iandola et al. (2016), SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB
    model size, table 1; version 1.1 is of the authors' repository.
    """
    check_choice(version, "version", "SqueezeNet", tuple(VERSIONS))
    name = f"squeezenet_{version.replace('.', '_')}" if name is None else name
    network = Network("SqueezeNet", include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    filters, size, pooled = VERSIONS[version]
    inputs = network.inputs(IMAGENET, minimum=32)
    x = layers.Conv2D(filters, size, 2, activation="relu", name="conv1")(inputs)
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        x = _pooled(x, f"pool{number - 1}") if number in pooled else x
        x = fire(x, squeeze, expand, name=f"fire{number}")
    if include_top:
        x = layers.Dropout(0.5, name="dropout")(x)
        x = layers.Conv2D(classes, 1, activation="relu", name="conv10")(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Activation(classifier_activation, name="predictions")(x)
    return network.model(inputs, x)


def fire(x, squeeze: int, expand: int, *, name: str | None = None) -> Any:
    """A fire module: few 1x1 filters, then 1x1 and 3x3 filters beside each other.

    Args:
        x: A symbolic tensor, a batch of images.
        squeeze: Number of 1x1 filters that squeeze.
        expand: Number of 1x1 filters, and of 3x3 filters, that expand.
        name: What the names of the layers begin with.

    Returns:
        A symbolic tensor, a batch of images with `2 * expand` channels.

    Example:

    >>> fire(keras.Input((32, 32, 16)), 8, 24).shape
    (None, 32, 32, 48)

    Reference: F. N. Iandola et al. (2016), SqueezeNet, figure 1.
    """
    x = layers.Conv2D(squeeze, 1, activation="relu", name=part(name, "squeeze"))(x)
    small = layers.Conv2D(expand, 1, activation="relu", name=part(name, "expand1x1"))(x)
    large = layers.Conv2D(expand, 3, padding="same", activation="relu", name=part(name, "expand3x3"))(x)
    return layers.Concatenate(channel_axis(), name=part(name, "concat"))([small, large])


def _pooled(x, name):
    """Returns `x` pooled by 3x3 windows, two apart, of which the last may stand over: Caffe rounds up.

    Zeros beside what comes out of ReLU change no maximum.
    """
    return layers.MaxPooling2D(3, 2, name=name)(layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x))

"""Which adder layer stands for which layer of Keras, and copies of either as the other."""

from typing import Any

import keras

from keras_slim.layers.adder_conv1d import AdderConv1D
from keras_slim.layers.adder_conv2d import AdderConv2D
from keras_slim.layers.adder_dense import AdderDense
from keras_slim.layers.adder_depthwise_conv2d import AdderDepthwiseConv2D
from keras_slim.remaking import config_of, made_from

ADDERS: dict[type, Any] = {
    keras.layers.Conv1D: AdderConv1D,
    keras.layers.Conv2D: AdderConv2D,
    keras.layers.DepthwiseConv2D: AdderDepthwiseConv2D,
    keras.layers.Dense: AdderDense,
}
ORDINARY: dict[type, Any] = {adder: ordinary for ordinary, adder in ADDERS.items()}
# What two twins do not share: a kernel of products and one of distances start from different values.
OWN = ("kernel_initializer", "depthwise_initializer", "local_learning_rate")


def adder_twin(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """Returns the adder layer with the config of a convolution or a dense layer, not built.

    Args:
        layer: A layer of one of the types in `ADDERS`.
        **changes: Entries of the config that are different.
    """
    return made_from({**_config(layer), **changes}, layer, ADDERS[type(layer)])


def ordinary_twin(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """Returns the convolution or dense layer with the config of an adder layer, not built.

    Args:
        layer: A layer of one of the types in `ORDINARY`.
        **changes: Entries of the config that are different.
    """
    return made_from({**_config(layer), **changes}, layer, ORDINARY[type(layer)])


def _config(layer):
    """Returns what two twins have in common."""
    return {key: value for key, value in config_of(layer).items() if key not in OWN}

"""Which layer with few bits stands for which layer of Keras, and copies of either as the other."""

from typing import Any

import keras

from keras_slim.layers.quant_conv1d import QuantConv1D
from keras_slim.layers.quant_conv2d import QuantConv2D
from keras_slim.layers.quant_conv2d_transpose import QuantConv2DTranspose
from keras_slim.layers.quant_conv3d import QuantConv3D
from keras_slim.layers.quant_dense import QuantDense
from keras_slim.layers.quant_depthwise_conv2d import QuantDepthwiseConv2D
from keras_slim.layers.quant_embedding import QuantEmbedding
from keras_slim.layers.quant_separable_conv2d import QuantSeparableConv2D
from keras_slim.remaking import config_of, made_from

QUANTIZED: dict[type, Any] = {
    keras.layers.Conv1D: QuantConv1D,
    keras.layers.Conv2D: QuantConv2D,
    keras.layers.Conv3D: QuantConv3D,
    keras.layers.DepthwiseConv2D: QuantDepthwiseConv2D,
    keras.layers.SeparableConv2D: QuantSeparableConv2D,
    keras.layers.Conv2DTranspose: QuantConv2DTranspose,
    keras.layers.Dense: QuantDense,
    keras.layers.Embedding: QuantEmbedding,
}
PLAIN: dict[type, Any] = {quantized: plain for plain, quantized in QUANTIZED.items()}


def quant_twin(layer: keras.layers.Layer, of_weights, of_inputs, **changes) -> keras.layers.Layer:
    """Returns the layer with few bits with the config of a convolution, a dense layer or a table, not built.

    Args:
        layer: A layer of one of the types in `QUANTIZED`.
        of_weights: Quantizer of the weights, or `None`.
        of_inputs: Quantizer of the inputs, or `None`; left out if they are no numbers.
        **changes: Entries of the config that are different.
    """
    kind = QUANTIZED[type(layer)]
    quantizers = {kind.of_weights: of_weights, kind.of_inputs: of_inputs}
    quantizers.pop(None, None)
    return made_from({**_config(layer), **quantizers, **changes}, layer, kind)


def plain_twin(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """Returns the layer of Keras with the config of one with few bits, not built, without what its quantizers bring.

    Args:
        layer: A layer of one of the types in `PLAIN`.
        **changes: Entries of the config that are different.
    """
    return made_from({**_plain_config(layer), **changes}, layer, PLAIN[type(layer)])


def _config(layer):
    return config_of(layer)


def _plain_config(layer):
    own = {layer.of_weights, layer.of_inputs, "kept", "rounding"}
    config = {key: value for key, value in _config(layer).items() if key not in own}
    quantizer = getattr(layer, layer.of_weights)
    brought = quantizer.constraint() if quantizer else None
    for name in layer.constraints:
        if brought is not None and type(getattr(layer, name)) is type(brought):
            config[name] = None
    return config

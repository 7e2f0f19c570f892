"""Adder kernels of few different values, which phones compute faster and which compress well."""

import keras

from keras_slim.coding import nearest_values, shared_values
from keras_slim.errors import UnsupportedLayerError, invalid_argument
from keras_slim.held import layers_within
from keras_slim.layers.adder import Adder
from keras_slim.validation import check_count


def share_kernel_values(model: keras.Model, number: int = 4, *, freeze: bool = True) -> keras.Model:
    """Rounds the kernel of each adder layer to a few values, in place.

    The values are the k-means centres of the kernel's own. A short training afterwards makes up for what the rounding
    costs: the adder layers are frozen, so that batch normalization and the ordinary layers learn and the values stay
    few. `keras_slim.export_tflite` computes such a layer as one stock convolution where that is faster.

    Args:
        model: A built model with adder layers.
        number: Most values of a kernel.
        freeze: Whether to set `trainable = False` on the adder layers. The model has to be compiled again then.

    Returns:
        The model itself.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If it has no adder layers that are built.
        ValueError: If `number` is below 1.

    Example:

    >>> import numpy as np, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((8,)), slim.layers.AdderDense(4)])
    >>> model = share_kernel_values(model, 2)
    >>> len(np.unique(model.layers[0].get_weights()[0]))
    2
    """
    if not isinstance(model, keras.Model):
        expected = "a Keras model"
        raise TypeError(invalid_argument("model", "share_kernel_values", expected=expected, received=model))
    check_count(number, "number", "share_kernel_values")
    found = [layer for layer in layers_within(model) if isinstance(layer, Adder) and layer.built]
    if not found:
        raise UnsupportedLayerError(
            f"The model '{model.name}' has no adder layers that are built. Expected at least one of "
            "`keras_slim.layers`, e.g. AdderConv2D. Build the model, or make its adder twin first."
        )
    for layer in found:
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        layer.kernel.assign(nearest_values(kernel, shared_values(kernel, number)))
        layer.trainable = layer.trainable and not freeze
    return model

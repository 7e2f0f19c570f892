"""Quantizers at work on one tensor, outside any layer of Keras's, and their gradients on every backend."""

import keras
import numpy as np

from keras_slim.kernels.backends import gradient
from keras_slim.quantizers import Place, quantizers
from keras_slim.quantizers.kept_place import KeptPlace


def placed(quantizer, shape, axes=(-1,), is_weight=True, name="kernel", kept=None):
    """Returns the `Place` of a quantizer that has a tensor of a shape, of which all or some is kept."""
    arguments = quantizers.get(quantizer, "quantizer", "test"), name, axes, is_weight
    place = KeptPlace(*arguments, kept=kept) if kept else Place(*arguments)
    return place.build(keras.layers.Layer(), shape)


def rounded(place, x, training=False):
    """Returns the rounded numbers, as an array."""
    return keras.ops.convert_to_numpy(place(keras.ops.convert_to_tensor(x), training))


def slope(place, x, upstream, variable=None, training=False):
    """Returns the gradient of the tensor, or of one of the variables, by name, given that of what is rounded."""
    x, upstream = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(upstream)
    if variable is None:
        return keras.ops.convert_to_numpy(gradient(lambda x: place(x, training), x, upstream))
    of = place.variables[variable]
    value = keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(of))

    def by_variable(value):
        with keras.StatelessScope([(of, value)]):
            return place(x, training)

    return keras.ops.convert_to_numpy(gradient(by_variable, value, upstream))


def numbers(*shape, seed=0, scale=1.0):
    """Returns normal random numbers."""
    return np.random.default_rng(seed).normal(0, scale, shape).astype("float32")

"""Back from dense layers of hashed numbers to Keras's own, with whole kernels."""

import keras

from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import operations
from keras_slim.graph.opening import readable
from keras_slim.layers import HashedDense
from keras_slim.own_state import give
from keras_slim.remaking import config_of, made_from
from keras_slim.rewriting.skipping import left_because, tell_of_left

DENSE = {HashedDense: keras.layers.Dense}
OWN = ("num_weights", "ratio", "seed")


def dehash(model: keras.Model) -> keras.Model:
    """Returns a copy of a model with Keras's dense layers for hashed ones.

    It answers as the model does, loads without keras_slim, and can be pruned, quantized or factorised like any other.
    Its kernels are whole: in a `.keras` file each is as large as before `keras_slim.hash`. A constraint of the hashed
    numbers is left out.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional. If nothing is hashed in it, it is no
        different.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.
        ValueError: If the model is not built.

    Warns:
        SlimWarning: If layers stay as they are because they derive from `HashedDense`. The message names them.

    Example:

    >>> import keras, keras_slim as slim
    >>> hashed = slim.layers.HashedDense(4, num_weights=3, name="hidden")
    >>> plain = slim.dehash(keras.Sequential([keras.Input((5,)), hashed]))
    >>> type(plain.layers[0]).__name__, plain.layers[0].kernel.shape
    ('Dense', TensorShape([5, 4]))
    """
    model = readable(model, "dehash")
    tell_of_left({each: reason for each in operations(model) if (reason := left_because(each, DENSE))}, "dehash")
    made = {}

    def in_place_of(operation, changes):
        if type(operation) is not HashedDense:
            return None
        config = {key: value for key, value in config_of(operation).items() if key not in OWN}
        made[operation] = made_from({**config, "kernel_constraint": None, **changes}, operation, keras.layers.Dense)
        return [made[operation]]

    copy = copy_replacing(model, in_place_of)
    for hashed, dense in made.items():
        dense.kernel.assign(hashed.kernel)
        if hashed.use_bias:
            give(dense.bias, hashed.bias)
    return copy

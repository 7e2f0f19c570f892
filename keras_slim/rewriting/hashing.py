"""Dense layers that keep a few numbers each, which a hash lays out as whole kernels."""

from collections.abc import Iterable

import keras

from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import operations
from keras_slim.graph.opening import readable
from keras_slim.layers import HashedDense
from keras_slim.own_state import give
from keras_slim.remaking import config_of, made_from
from keras_slim.rewriting.per_layer import PerLayer
from keras_slim.rewriting.skipping import check_named, layers_to_replace
from keras_slim.validation import check_count, check_share

HASHED = {keras.layers.Dense: HashedDense}


def hash(
    model: keras.Model,
    ratio: float | dict,
    skip: Iterable[str] = (),
    seed: int = 0,
) -> keras.Model:
    """Returns a copy of a model whose dense layers keep a few numbers each.

    Each `Dense` becomes a `keras_slim.layers.HashedDense` with the same config and name, in models inside the model
    too: its kernel has as many places as before, filled by a hash from as few numbers as `ratio` leaves. These are the
    best for the kernel by the sum of squared errors: each is the mean of the places it goes to, times their signs. All
    else stays as it is, with its weights, as do layers inside a wrapper such as `TimeDistributed`.

    That makes the file of `save_compressed` small, and what is computed no less. Of a trained kernel it leaves little
    as it is, so the copy is to be trained on. Build a fresh network with `HashedDense` itself, whose numbers begin at
    the scale of the initializer; means are smaller. A regularizer of a kernel is kept, over fewer numbers; a
    constraint and an `OrthogonalRegularizer`, which are about the columns of a matrix, are left out.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.
        ratio: Share of the numbers of each kernel to remove, above 0 and below 1: with 0.875 an eighth is left. Or a
            dictionary to shares, whose keys are types of layers, the nearest counts, and `keras.layers.Layer` is for
            all others; names of layers; paths, as `"encoder/dense"`; names of models inside the model. The more
            specific wins: path, name, model around, type. What no key tells of, or `None`, stays dense.
        skip: What stays dense: `"first"`, the layers with no other dense layer before them; `"last"`, those with none
            after them, such as the layers of the outputs; names of layers; names of models inside the model, with all
            their layers. Nothing by itself, as in the paper. A layer with a ratio by its own name is not skipped for
            its place.
        seed: Of the hash, an integer of at least 0; each layer has the next one.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        TypeError: If the model is no Keras model, or an argument is none of these.
        ValueError: If a ratio is out of range; if `skip` or a key names what is not there, a key a layer that is not
            dense, or `skip` leaves nothing to replace; if the model is not built.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.

    Warns:
        SlimWarning: If layers stay as they are because they derive from `Dense`, are quantized by Keras or have a
            low-rank adaptation. The message names them.

    Example:

    >>> import keras, keras_slim as slim
    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((784,)), dense(100, "relu"), dense(10, name="head")])
    >>> small = slim.hash(model, {"Dense": 0.875, "head": 0.5})
    >>> [(type(layer).__name__, layer.count_params()) for layer in small.layers]
    [('HashedDense', 9900), ('HashedDense', 510)]

    Reference:
        Chen et al. 2015, "Compressing neural networks with the hashing trick", arXiv 1504.04788.
    """
    owner = "hash"
    model = readable(model, owner)
    seed = check_count(seed, "seed", owner, minimum=0)
    ratios = PerLayer(model, ratio, _check_ratio, "ratio", owner)
    named = {each for each in operations(model) if ratios.is_named(each)}
    check_named(named, HASHED, ratio, "ratio", owner)
    replaced = layers_to_replace(model, HASHED, skip, owner, named)
    made = {}

    def in_place_of(operation, changes):
        share = ratios.of(operation) if operation in replaced else None
        if share is None:
            return None
        changes = {"kernel_constraint": None, "ratio": share, "seed": seed + len(made), **changes}
        if isinstance(operation.kernel_regularizer, keras.regularizers.OrthogonalRegularizer):
            changes["kernel_regularizer"] = None
        made[operation] = made_from({**config_of(operation), **changes}, operation, HashedDense)
        return [made[operation]]

    copy = copy_replacing(model, in_place_of)
    for dense, hashed in made.items():
        hashed.assign_kernel(keras.ops.convert_to_numpy(dense.kernel))
        if dense.use_bias:
            give(hashed.bias, dense.bias)
    return copy


def _check_ratio(ratio):
    return None if ratio is None else check_share(ratio, "ratio", "hash")

"""Kernels whose weights share a few values, so that each weight is stored as the number of its value."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_slim.coding import nearest_codes, shared_values
from keras_slim.coding.codebook import INITS
from keras_slim.errors import UnsupportedLayerError, invalid_argument
from keras_slim.sharing.codes import Codes
from keras_slim.sparsity.kernels import settings_by_path, weights_ending_in
from keras_slim.sparsity.values import plain
from keras_slim.validation import check_choice, check_count

MOST_BITS = 8


def share_weights(
    model: keras.Model,
    bits: int | dict[str, int] = 5,
    init: str = "linear",
    *,
    bias_bits: int | None = None,
    ignore=(),
    seed: int = 0,
) -> Codes:
    """Rounds each kernel of a model to a few values, in place.

    The values are the k-means centres of the kernel's weights, at most `2 ** bits` of them, and zero beside them: what
    is zero stays zero and has no part in the means. A kernel that has no more different values stays as it is. Such a
    model compresses well. `keras_slim.callbacks.WeightSharing` makes up for what the rounding costs.

    Kernels are those of `keras_slim.sparsity.kernels` and the vectors of embeddings, also of layers that are not
    trained.

    Args:
        model: A built model of any kind.
        bits: Bits that count the values of a kernel, 1 to 8; or a dictionary of layer names or paths to bits, which
            leaves all other layers as they are.
        init: Where k-means begins: `"linear"`, which the paper found to be best, `"density"` or `"kmeans++"`, as in
            `keras_slim.coding.shared_values`.
        bias_bits: Bits that count the values of a bias, of the layers whose kernels share values. In a network with few
            weights left, biases are a large part of the file. `None` leaves them as they are.
        ignore: Names of layers, or paths, to leave as they are.
        seed: Seed of what `"kmeans++"` draws.

    Returns:
        The `keras_slim.sharing.Codes`: which weights share a value.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If an argument is out of range, a name is not found, or a weight is not finite; nothing is changed.
        UnsupportedLayerError: If no kernel is left.

    Reference:
        Han et al. 2016, "Deep Compression" (arXiv 1510.00149), section 3.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")], name="net")
    >>> print(share_weights(model, bits=2).describe())
    net/head/kernel: 4 values of 32 weights, 0 zeros
    >>> len(np.unique(model.get_layer("head").kernel))
    4
    """
    owner = "share_weights"
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", owner, expected="a Keras model", received=model))
    bits, init = check_bits(bits, owner), check_choice(init, "init", owner, INITS)
    check_bias_bits(bias_bits, owner)
    check_count(seed, "seed", owner, minimum=0)
    weights, chosen = weights_to_share(model, bits, ignore, owner, bias_bits, trained_only=False)
    return share(weights, chosen, init, seed)


def check_bits(bits, owner, argument="bits"):
    """Returns the bits of a kernel, or the dictionary of them, or raises `TypeError` or `ValueError`."""
    for each in bits.values() if isinstance(bits, dict) else [bits]:
        if check_count(each, argument, owner) > MOST_BITS:
            expected = f"an integer from 1 to {MOST_BITS}, of which 2 to the power are the values"
            raise ValueError(invalid_argument(argument, owner, expected=expected, received=bits))
    return bits


def check_bias_bits(bias_bits, owner):
    """Returns the bits of a bias, or `None`, or raises `TypeError` or `ValueError`."""
    return None if bias_bits is None else check_bits(check_count(bias_bits, "bias_bits", owner), owner, "bias_bits")


def weights_to_share(
    model, bits, ignore, owner, bias_bits=None, trained_only=True
) -> tuple[dict[str, keras.Variable], dict[str, int]]:
    """Returns the weights that are to share values and the bits of each, both by path.

    Args:
        model: A built model.
        bits: Bits for all, or a dictionary of layer names or paths to bits, which leaves out all others.
        ignore: Names of layers, or paths, to leave out.
        owner: Name of the callback or function, for error messages.
        bias_bits: Bits for the biases of the layers of these weights; `None` leaves them out.
        trained_only: Whether to leave out those of layers that are not trained.

    Raises:
        ValueError: If a name is not found.
        UnsupportedLayerError: If no weight is left.
    """
    found = weights_ending_in(("kernel", "embeddings"), model, trained_only)
    found = {path: weight for path, weight in found.items() if keras.backend.is_float_dtype(weight.dtype)}
    bits = bits if isinstance(bits, dict) else dict.fromkeys(found, bits)
    chosen = settings_by_path(bits, found, ignore, "bits", owner)
    if not chosen:
        raise UnsupportedLayerError(
            f"`{owner}` finds nothing to share in model '{model.name}'. Expected a{' trainable' * trained_only} weight "
            "whose name ends in 'kernel' or 'embeddings' and which is not ignored. Received weights: "
            f"{list(found)}, and ignore={list(ignore)!r}."
        )
    if bias_bits is not None:
        layers = {found[path].path.rpartition("/")[0] for path in chosen}
        for path, weight in weights_ending_in("bias", model, trained_only).items():
            if weight.path.rpartition("/")[0] in layers:
                found[path], chosen[path] = weight, bias_bits
    return {path: found[path] for path in chosen}, chosen


def share(weights: Mapping[str, keras.Variable], bits: Mapping[str, int], init: str, seed: int) -> Codes:
    """Rounds weights to the k-means centres of each; returns which of them share a value.

    Args:
        weights: The weights by path.
        bits: Bits of each, by path.
        init: Where k-means begins.
        seed: Seed of what is drawn.

    Raises:
        ValueError: If a weight is not finite; nothing is changed.
    """
    broken = [path for path, weight in weights.items() if not np.isfinite(plain(weight)).all()]
    if broken:
        raise ValueError(
            f"Weights that are not finite share no values. Expected numbers. Received NaN or infinity in {broken}. "
            "Train the model anew, with a smaller learning rate, or ignore these layers."
        )
    codes = {}
    for path, weight in weights.items():
        values, codes[path] = _shared(plain(weight), 2 ** bits[path], init, seed)
        weight.assign(values[codes[path]])
    return Codes(codes)


def _shared(weights, number, init, seed):
    """Returns values, of which zero is the first, and the place of each weight's value."""
    others = weights != 0
    if not others.any():
        return np.zeros(1, weights.dtype), np.zeros(weights.shape, int)
    values = shared_values(weights[others], number, init, seed=seed)
    return np.r_[np.zeros(1, weights.dtype), values], np.where(others, 1 + nearest_codes(weights, values), 0)

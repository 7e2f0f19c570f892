"""Kernels whose weights share a few values, or vectors of values, so that each is stored as the number of its value."""

from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_slim.coding.codebook import INITS
from keras_slim.coding.shared_blocks import MOST_SIZE
from keras_slim.errors import UnsupportedLayerError, invalid_argument
from keras_slim.scoring.data import drawn
from keras_slim.sharing.block_values import BlockValues, cut_of, share_blocks
from keras_slim.sharing.codes import Codes
from keras_slim.sharing.fitting import fit_to_outputs
from keras_slim.sparsity.kernels import settings_by_path, weights_ending_in
from keras_slim.sparsity.values import plain
from keras_slim.validation import check_choice, check_count

MOST_BITS = 8


def share_weights(
    model: keras.Model,
    bits: int | dict[str, int] = 5,
    init: str | None = None,
    *,
    block: int | dict[str, int] = 1,
    codebooks: int | dict[str, int] = 1,
    data=None,
    steps: int | None = None,
    samples: int = 1024,
    memory: int = 2**30,
    bias_bits: int | None = None,
    ignore=(),
    seed: int = 0,
    verbose: int = 1,
) -> Codes:
    """Rounds each kernel of a model to a few values, in place.

    The values are the k-means centres of the kernel's weights, at most `2 ** bits` of them, and zero beside them: what
    is zero stays zero and has no part in the means. A kernel that has no more different values stays as it is. Such a
    model compresses well. `keras_slim.callbacks.WeightSharing` makes up for what the rounding costs.

    With `block`, runs of so many weights share vectors of values (product quantization): `2 ** bits` of them for each
    kernel, and a code for a whole block, so that a weight takes `bits / block` bits. A block lies along the inputs of
    one output: of a 3x3 convolution, 9 is one plane of a filter, 18 are two; of a dense layer or a 1x1 convolution, 4
    are four inputs. Embeddings are cut within each vector. Where blocks do not divide the inputs, the last one is
    shorter. Zeros stay zero here too, but blocks save little where weights are pruned one by one.

    With `data`, inputs alone, values are chosen for what layers put out, from input to output, each on what the layers
    before it have become. On the inputs that are looked at, no layer puts out what is farther off than without data,
    given the same layers before it. That goes for dense layers, convolutions, and what recurrent layers make of their
    inputs.

    Kernels are those of `keras_slim.sparsity.kernels` and the vectors of embeddings, also of layers that are not
    trained.

    Args:
        model: A built model of any kind.
        bits: Bits that count the values of a kernel, 1 to 8; or a dictionary of layer names or paths to bits, which
            leaves all other layers as they are.
        init: Where k-means begins: `"linear"`, which the paper found to be best, `"density"` or `"kmeans++"`, as in
            `keras_slim.coding.shared_values`. Defaults to `"linear"`, and to `"kmeans++"`, the only one there, for
            blocks.
        block: Weights in a block, 1 to 64; or a dictionary of layer names or paths to blocks, all others of 1.
        codebooks: Sets of values of a kernel, by groups of inputs, as many as blocks at most (Gong et al. have one for
            each); or a dictionary of layer names or paths, all others of 1. Each takes `4 * block * 2 ** bits` bytes.
        data: Inputs to look at, in any form `fit` takes; some hundreds of samples will do, more are better. Optional.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        samples: Samples to look at, at most.
        memory: Bytes of activations to hold at most while values are fitted, in both networks.
        bias_bits: Bits that count the values of a bias, of the layers whose kernels share values. In a network with few
            weights left, biases are a large part of the file. `None` leaves them as they are.
        ignore: Names of layers, or paths, to leave as they are.
        seed: Seed of what `"kmeans++"` draws.
        verbose: 0 shows nothing, 1 how far fitting to data is, where that takes more than five seconds.

    Returns:
        The `keras_slim.sharing.Codes`: which weights share a value.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If an argument is out of range, a name is not found, or a weight is not finite; nothing is changed.
        UnsupportedLayerError: If no kernel is left.

    Reference:
        Han et al. 2016, "Deep Compression" (arXiv 1510.00149), section 3; for blocks, Gong et al. 2014, "Compressing
        deep convolutional networks using vector quantization" (arXiv 1412.6115), section 3.3; for data, Stock et al.
        2020, "And the bit goes down" (arXiv 1907.05686), section 3.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")], name="net")
    >>> print(share_weights(model, bits=2).describe())
    net/head/kernel: 4 values of 32 weights, 0 zeros
    >>> len(np.unique(model.get_layer("head").kernel))
    4
    >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64)])
    >>> codes = share_weights(model, bits=3, block=4)
    >>> len(np.unique(model.layers[0].kernel.numpy().T.reshape(-1, 4), axis=0))  # of 512 blocks
    8
    """
    owner = "share_weights"
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", owner, expected="a Keras model", received=model))
    bits, init = check_bits(bits, owner), check_init(init, block, owner)
    check_blocks(block, codebooks, owner)
    check_bias_bits(bias_bits, owner)
    check_count(seed, "seed", owner, minimum=0)
    check_count(samples, "samples", owner)
    check_count(memory, "memory", owner)
    weights, chosen = weights_to_share(model, bits, ignore, owner, bias_bits, trained_only=False)
    blocks = blocks_of(weights, block, codebooks, owner)
    data = drawn(data, steps, owner)

    def fit(found):
        if data is not None:
            fit_to_outputs(model, weights, found, data, steps, samples, memory, verbose, owner)

    return share(weights, chosen, blocks, init, seed, fit)


def check_bits(bits, owner, argument="bits"):
    """Returns the bits of a kernel, or the dictionary of them, or raises `TypeError` or `ValueError`."""
    for each in bits.values() if isinstance(bits, dict) else [bits]:
        if check_count(each, argument, owner) > MOST_BITS:
            expected = f"an integer from 1 to {MOST_BITS}, of which 2 to the power are the values"
            raise ValueError(invalid_argument(argument, owner, expected=expected, received=bits))
    return bits


def check_init(init, block, owner):
    """Returns where k-means begins, `None` for the default, or raises `ValueError`."""
    if init is None:
        return None
    is_plain = all(each == 1 for each in (block.values() if isinstance(block, dict) else [block]))
    return check_choice(init, "init", owner, INITS if is_plain else ("kmeans++",))


def check_blocks(block, codebooks, owner):
    """Raises `TypeError` or `ValueError` if blocks or the number of codebooks cannot be."""
    for argument, value, most in (("block", block, MOST_SIZE), ("codebooks", codebooks, None)):
        for each in value.values() if isinstance(value, dict) else [value]:
            if check_count(each, argument, owner) > (most or each):
                expected = f"an integer from 1 to {most}, of the weights that share a code"
                raise ValueError(invalid_argument(argument, owner, expected=expected, received=value))


def blocks_of(weights, block, codebooks, owner) -> dict[str, tuple[int, int]]:
    """Returns the weights in a block and the codebooks of each weight, by path; 1 and 1 for biases.

    Args:
        weights: The weights by path.
        block: Weights in a block for all, or a dictionary of layer names or paths to them; all others have 1.
        codebooks: How many codebooks, likewise.
        owner: Name of the callback or function, for error messages.

    Raises:
        ValueError: If a name is not found.
    """
    kernels = {path: weight for path, weight in weights.items() if len(weight.shape) > 1}
    chosen = [
        settings_by_path(value if isinstance(value, dict) else dict.fromkeys(kernels, value), kernels, (), name, owner)
        for name, value in (("block", block), ("codebooks", codebooks))
    ]
    return {path: (chosen[0].get(path, 1), chosen[1].get(path, 1)) for path in weights}


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


def share(
    weights: Mapping[str, keras.Variable],
    bits: Mapping[str, int],
    blocks: Mapping[str, tuple[int, int]],
    init: str | None,
    seed: int,
    fit: Callable[[dict[str, BlockValues]], None] | None = None,
) -> Codes:
    """Rounds weights to the k-means centres of each; returns which of them share a value.

    Args:
        weights: The weights by path.
        bits: Bits of each, by path.
        blocks: Weights in a block and codebooks of each, by path.
        init: Where k-means begins.
        seed: Seed of what is drawn.
        fit: Function that changes what the weights become, before they do. Optional.

    Raises:
        ValueError: If a weight is not finite; nothing is changed.
    """
    broken = [path for path, weight in weights.items() if not np.isfinite(plain(weight)).all()]
    if broken:
        raise ValueError(
            f"Weights that are not finite share no values. Expected numbers. Received NaN or infinity in {broken}. "
            "Train the model anew, with a smaller learning rate, or ignore these layers."
        )
    found = {}
    for path, weight in weights.items():
        block, codebooks = blocks[path]
        cut = cut_of(weight, block)
        found[path] = share_blocks(plain(weight), cut, 2 ** bits[path], codebooks, init or "linear", seed)
    if fit is not None:
        fit(found)
    for path, weight in weights.items():
        weight.assign(found[path].values())
    return Codes({path: each.weight_codes() for path, each in found.items()})

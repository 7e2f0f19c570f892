"""Layers with a kernel that can be written as a product, and the stock layers that compute that product."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_slim.factorization import SCHEMES, Factors, Scheme
from keras_slim.graph.copying import copied
from keras_slim.graph.program import Call
from keras_slim.lowrank.seen import Seen
from keras_slim.own_state import give, variables_of
from keras_slim.pruning.calibration import is_plain
from keras_slim.rewriting.folding import normalized_layers, scale_of

OF_A_FACTOR = {
    "use_bias": False,
    "activation": None,
    "bias_initializer": "zeros",
    "bias_regularizer": None,
    "bias_constraint": None,
    "activity_regularizer": None,
}
"""What a layer has no more that is not the last in the place of another."""
LEAST_SCALE = 1e-3
"""How much outputs count at least that a batch normalization hardly hands on, as a share of the median."""
FRESH = {"kernel_initializer": "glorot_uniform", "embeddings_initializer": "uniform"}
"""What is for a kernel of another shape, such as a constant array, and of no use where weights are given."""


class Factorable:
    """A layer with a kernel of shape `(*positions, inputs, outputs)`.

    Args:
        layer: The layer.

    Attributes:
        layer: The layer.
        schemes: Dictionary of the `Scheme`s that fit it, by name.
        norm: The batch normalization that alone reads what comes out; `None` if there is no such.
    """

    size = "units"
    """The entry of the config that counts outputs."""
    sees_data = True
    """Whether what it reads can be summed up to a Gram matrix."""
    is_kernel = True
    """Whether the matrix is the kernel of the layer as it stands, not several of them or another order of its axes."""
    leaves_out_padding = False
    """Whether it does not read steps that are masked."""
    norm: Any = None
    may_compute_more = False
    """Whether it has nothing to compute as it is, so that factors are taken for fewer parameters alone."""

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer
        self.shape = tuple(self.variable.shape)
        self.schemes = {name: scheme for name, scheme in SCHEMES.items() if scheme.fits(self.num_positions)}

    @property
    def num_positions(self) -> int:
        """How many axes of positions matter."""
        return 0

    @property
    def variable(self) -> keras.Variable:
        return self.layer.kernel

    @property
    def kernel(self) -> np.ndarray:
        return keras.ops.convert_to_numpy(self.variable).astype(float)

    @property
    def bias(self) -> keras.Variable | None:
        """What is added to what the kernel puts out, channel by channel."""
        return self.layer.bias if self.layer.use_bias else None

    @property
    def is_mended_behind(self) -> bool:
        """Whether it is a batch normalization behind that makes up for means, as there is no bias."""
        return self.norm is not None and self.bias is None

    @property
    def offset(self) -> keras.Variable | None:
        """The variable that makes up for means: the bias, or the mean that a batch normalization behind takes away."""
        return self.norm.moving_mean if self.is_mended_behind else self.bias

    @property
    def scale(self) -> Any:
        """How much each output counts: what a batch normalization behind multiplies it with, or 1."""
        return 1.0 if self.norm is None else output_scale(self.norm)

    def weighed(self, gram: np.ndarray | None) -> np.ndarray:
        """Returns the kernel whose response counts: with data, with outputs as a batch normalization hands them on."""
        return self.kernel if gram is None or self.norm is None else self.kernel * self.scale

    @property
    def params(self) -> int:
        """Elements of the kernel; a bias stays as it is."""
        return math.prod(self.shape)

    @property
    def num_columns(self) -> int:
        """How many numbers one place of the kernel reads."""
        return self.params // self.shape[-1]

    @property
    def num_moments(self) -> int:
        """How many numbers the second moments of what it reads are."""
        return self.num_columns**2

    def why_not(self) -> str:
        """Returns why its kernel cannot be written as a product, or an empty string if it can."""
        if constraint := self.variable.constraint:
            return f"its kernel has a constraint, `{type(constraint).__name__}`, that factors would not keep"
        return "" if np.isfinite(self.kernel).all() else "its kernel is not finite"

    def reads(self, call: Call) -> tuple[int, ...]:
        """Returns the numbers of what goes into a call for the kernel, and of a mask of it if one is passed."""
        return (call.inputs[0],)

    def seen(self, centered: bool = True) -> Seen:
        """Returns what sums up what it reads; centered, means do not count where an offset makes up for them."""
        return Seen(self, centered and self.offset is not None)

    def can_be(self, name: str, ranks: tuple[int, ...]) -> bool:
        """Tells whether it can be written in the scheme of a name, with these ranks."""
        scheme = self.schemes.get(name)
        if scheme is None or len(ranks) != scheme.num_ranks():
            return False
        is_count = all(isinstance(rank, int) and rank > 0 for rank in ranks)
        return is_count and scheme.within(self.shape, ranks) == tuple(ranks)

    def macs(self, inputs: tuple, outputs: tuple, scheme: Scheme | None = None, ranks: tuple[int, ...] = ()) -> int:
        """Returns the multiply-accumulates of a call on one sample, as it is or as a product.

        Args:
            inputs: Shape of what goes in, with the batch.
            outputs: Shape of what comes out, with the batch.
            scheme: The scheme. Optional.
            ranks: Its ranks.
        """
        size = self.params if scheme is None else scheme.size(self.shape, ranks)
        return size * math.prod(inputs[1:-1])

    def rows(self, value: np.ndarray, chosen) -> np.ndarray:
        """Returns what the kernel reads at some places, flat.

        Args:
            value: What goes in, with the batch.
            chosen: Function of how many there are that returns the numbers of those that are wanted.

        Returns:
            Array of shape `(rows, positions * inputs)`.
        """
        rows = value.reshape(-1, value.shape[-1])
        return rows[chosen(len(rows))]

    def stack(self, scheme: Scheme, ranks: tuple[int, ...], names: Iterator[str], changes: dict) -> list:
        """Returns the layers that stand in its place, the last with its name, bias and activation.

        Args:
            scheme: The scheme.
            ranks: Its ranks.
            names: Names for those before the last.
            changes: Entries of the layer's config that the copy has different.
        """
        shapes = scheme.shapes(self.shape, ranks)
        entries = [self.entries(index, scheme, shape) for index, shape in enumerate(shapes)]
        *before, last = entries
        stack = [copied(self.layer, **OF_A_FACTOR, **FRESH, **each, name=next(names)) for each in before]
        return [*stack, copied(self.layer, **{**changes, **FRESH, **last})]

    def dense(self, units: int, **options) -> keras.layers.Dense:
        """Returns a dense layer without bias that computes and is trained as the layer is."""
        policy = {"dtype": self.layer.dtype_policy, "trainable": self.layer.trainable}
        return keras.layers.Dense(units, use_bias=False, **policy, **options)

    def entries(self, index: int, scheme: Scheme, shape: tuple[int, ...]) -> dict:
        """Returns the entries of the config that are those of a factor."""
        return {self.size: shape[-1]}

    def fitted(self, scheme: Scheme, ranks: tuple[int, ...], seen: Seen) -> tuple[Any, Any]:
        """Returns factors that make of what is seen in one network what the kernel makes in another, and the offset.

        They are the best of their ranks of the kernel that is best by least squares (reduced-rank regression), each
        output as much as it counts.
        """
        flat, scale = self.kernel.reshape(-1, self.shape[-1]), self.scale

        def fit(wanted, gram):
            return scheme.fit(wanted.reshape(self.shape), ranks, gram)

        def product(wanted, gram):
            return fit(wanted, gram).product().reshape(flat.shape)

        ridge = seen.best_ridge(flat * scale, product) if isinstance(scheme, Scheme) else 0.0
        factors = fit(seen.regressed(flat * scale, ridge), seen.gram(ridge))
        factors = factors if np.isscalar(scale) else factors.scaled(1 / scale)
        if self.offset is None:
            return factors, None
        before, after = seen.means()
        return factors, self.shifted(before @ flat - after @ factors.product().reshape(flat.shape))

    def shifted(self, shift: np.ndarray) -> np.ndarray:
        """Returns the offset with which what comes out, channel by channel, is shifted."""
        offset = keras.ops.convert_to_numpy(self.offset).astype(float)
        return offset - shift if self.is_mended_behind else offset + shift

    def values(self, factors: Any, offset: Any) -> list[tuple[keras.Variable, np.ndarray]]:
        """Returns the variables of the layer, and their values with which it computes what its factors do."""
        return [(self.variable, factors.product()), *([] if offset is None else [(self.offset, offset)])]

    def carry(self, copy: keras.layers.Layer, values: list[tuple[keras.Variable, Any]]) -> None:
        """Gives a layer of the same type some values, and of the others, seeds too, those that this one has."""
        own = {id(variable): value for variable, value in values}
        for old, new in zip(*variables_of(self.layer, copy), strict=True):
            give(new, own.get(id(old), old))

    def fill(self, stack: list, factors: Factors, bias: np.ndarray | None) -> None:
        """Gives the layers of `stack`, which are built, their kernels, and the last one its bias."""
        kernels = [each for each in (factors.first, factors.second, factors.last) if each is not None]
        for layer, kernel in zip(stack, kernels, strict=True):
            layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        if self.bias is not None:
            stack[-1].bias.assign(self.bias if bias is None else bias)


def tell_norms(kinds: dict[keras.layers.Layer, Factorable], model: keras.Model, ignored) -> None:
    """Tells the kinds of layers which batch normalization alone reads what they put out, unless it is ignored."""
    for layer, norm in normalized_layers(model):
        if layer in kinds and is_plain(norm) and not ignored(norm):
            kinds[layer].norm = norm


def output_scale(norm: keras.layers.BatchNormalization) -> np.ndarray:
    """Returns what a batch normalization multiplies each output with, about 1, and none much less than others."""
    scale = np.abs(scale_of(norm))
    if not (np.isfinite(scale).all() and scale.any()):
        return np.ones_like(scale)
    scale = np.maximum(scale, LEAST_SCALE * np.median(scale[scale > 0]))
    return scale / np.exp(np.log(scale).mean())


class FactorableConvolution(Factorable):
    """A convolution; kernels of size 1 along an axis have no positions there."""

    size = "filters"

    @property
    def num_positions(self):
        return len(self.shape) - 2 if max(self.shape[:-2]) > 1 else 0

    @property
    def is_channels_first(self):
        return self.layer.data_format == "channels_first"

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        before, behind = (list(self._places(shape)) for shape in (inputs, outputs))
        if scheme is None:
            return math.prod(self.shape) * math.prod(behind)
        total = 0
        for index, shape in enumerate(scheme.shapes(self.shape, ranks)):
            along = self._axes(index, scheme)
            before = [new if axis in along else old for axis, (old, new) in enumerate(zip(before, behind, strict=True))]
            total += math.prod(shape) * math.prod(before)
        return total

    def _places(self, shape):
        return shape[2:] if self.is_channels_first else shape[1:-1]

    def _axes(self, index, scheme):
        """Returns the position axes along which a factor convolves, with stride and dilation."""
        axes = range(len(self.shape) - 2)
        if scheme.along is None:
            return axes if index == 0 else ()
        return (axes[: scheme.along], axes[scheme.along :], ())[index]

    def entries(self, index, scheme, shape):
        along = self._axes(index, scheme)

        def on_axes(given):
            return tuple(each if axis in along else 1 for axis, each in enumerate(given))

        layer = self.layer
        return {
            "filters": shape[-1],
            "kernel_size": on_axes(layer.kernel_size),
            "strides": on_axes(layer.strides),
            "dilation_rate": on_axes(layer.dilation_rate),
        }

    def rows(self, value, chosen):
        layer = self.layer
        value = np.moveaxis(value, 1, -1) if self.is_channels_first else value
        reach = [(size - 1) * step for size, step in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
        lengths = value.shape[1:-1]
        if layer.padding == "valid":
            counts = [(n - r - 1) // s + 1 for n, r, s in zip(lengths, reach, layer.strides, strict=True)]
        else:
            counts = [-(-n // s) for n, s in zip(lengths, layer.strides, strict=True)]
            missing = [
                max(0, (count - 1) * s + r + 1 - n)
                for count, s, r, n in zip(counts, layer.strides, reach, lengths, strict=True)
            ]
            before = [*reach] if layer.padding == "causal" else [each // 2 for each in missing]
            pads = [(first, max(0, total - first)) for first, total in zip(before, missing, strict=True)]
            value = np.pad(value, [(0, 0), *pads, (0, 0)])
        sample, *places = np.unravel_index(chosen(len(value) * math.prod(counts)), (len(value), *counts))
        index = [sample.reshape(-1, *[1] * len(places))]
        for axis, (place, size) in enumerate(zip(places, layer.kernel_size, strict=True)):
            offsets = np.arange(size) * layer.dilation_rate[axis]
            offsets = offsets.reshape([-1 if other == axis else 1 for other in range(len(places))])
            index.append(place.reshape(-1, *[1] * len(places)) * layer.strides[axis] + offsets)
        return value[tuple(index)].reshape(len(sample), -1)


class FactorableEmbedding(Factorable):
    """A table, of which rows become shorter, with a map behind it."""

    sees_data = False
    may_compute_more = True

    @property
    def variable(self):
        return self.layer.embeddings

    @property
    def bias(self):
        return None

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        return 0 if scheme is None else ranks[0] * self.shape[-1] * math.prod(outputs[1:-1])

    def stack(self, scheme, ranks, names, changes):
        own = {"output_dim": ranks[0], "name": next(names), "activity_regularizer": None}
        dense = self.dense(
            self.shape[-1],
            name=self.layer.name,
            kernel_regularizer=self.layer.embeddings_regularizer,
            activity_regularizer=self.layer.activity_regularizer,
        )
        return [copied(self.layer, **{**changes, **FRESH, **own}), dense]

    def fill(self, stack, factors, bias):
        table, dense = stack
        table.embeddings.assign(factors.second)
        dense.kernel.assign(factors.last)

"""The layers whose kernel can be written as a product, and the stock layers that compute that product."""

import math
from collections.abc import Iterator

import keras
import numpy as np

from keras_slim.factorization import SCHEMES, Factors, Scheme
from keras_slim.graph.copying import copied
from keras_slim.graph.stock import differs_because
from keras_slim.layers import TensorTrainDense, TensorTrainEmbedding

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
OF_A_FACTOR = {
    "use_bias": False,
    "activation": None,
    "bias_initializer": "zeros",
    "bias_regularizer": None,
    "bias_constraint": None,
    "activity_regularizer": None,
}
"""What a layer has no more that is not the last in the place of another."""
FRESH = {"kernel_initializer": "glorot_uniform", "embeddings_initializer": "uniform"}
"""What is for a kernel of another shape, such as a constant array, and of no use where weights are given."""


class Factorable:
    """A layer with a kernel of shape `(*positions, inputs, outputs)`.

    Args:
        layer: The layer.

    Attributes:
        layer: The layer.
        schemes: Dictionary of the `Scheme`s that fit it, by name.
    """

    size = "units"
    """The entry of the config that counts outputs."""
    sees_data = True
    """Whether what it reads can be summed up to a Gram matrix."""
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
    def params(self) -> int:
        """Elements of the kernel; a bias stays as it is."""
        return math.prod(self.shape)

    @property
    def num_columns(self) -> int:
        """How many numbers one place of the kernel reads."""
        return self.params // self.shape[-1]

    def can_be(self, name: str, ranks: tuple[int, ...]) -> bool:
        """Tells whether it can be written in the scheme of a name, with these ranks."""
        scheme = self.schemes.get(name)
        if scheme is None or len(ranks) != scheme.num_ranks():
            return False
        return min(ranks) > 0 and scheme.within(self.shape, ranks) == tuple(ranks)

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

    def fill(self, stack: list, factors: Factors, bias: np.ndarray | None) -> None:
        """Gives the layers of `stack`, which are built, their kernels, and the last one its bias."""
        kernels = [each for each in (factors.first, factors.second, factors.last) if each is not None]
        for layer, kernel in zip(stack, kernels, strict=True):
            layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        if self.bias is not None:
            stack[-1].bias.assign(self.bias if bias is None else bias)


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


class FactorableRecurrent(Factorable):
    """A recurrent layer, of which the map of its inputs becomes a product; that of its state is no other's input."""

    @property
    def variable(self):
        return self.layer.cell.kernel

    @property
    def bias(self):
        bias = self.layer.cell.bias
        return bias if bias is not None and len(bias.shape) == 1 else None  # a GRU may have two, one of its state

    def stack(self, scheme, ranks, names, changes):
        (first, _) = scheme.shapes(self.shape, ranks)
        return [
            self.dense(first[-1], name=next(names), kernel_regularizer=self.layer.cell.kernel_regularizer),
            copied(self.layer, **{**changes, **FRESH}),
        ]

    def fill(self, stack, factors, bias):
        first, recurrent = stack
        first.kernel.assign(factors.second)
        for new, old in zip(recurrent.weights, self.layer.weights, strict=True):
            new.assign(factors.last if old is self.variable else bias if old is self.bias and bias is not None else old)


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


RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
KINDS = {
    keras.layers.Dense: Factorable,
    keras.layers.Embedding: FactorableEmbedding,
    **dict.fromkeys(CONVOLUTIONS, FactorableConvolution),
    **dict.fromkeys(RECURRENT, FactorableRecurrent),
}
WHOLE = {
    keras.layers.DepthwiseConv1D: "it convolves each channel by itself",
    keras.layers.DepthwiseConv2D: "it convolves each channel by itself",
    keras.layers.SeparableConv1D: "it is a product already",
    keras.layers.SeparableConv2D: "it is a product already",
    TensorTrainDense: "it is a product already",
    TensorTrainEmbedding: "it is a product already",
}
"""Why layers with kernels stay whole that have no factors."""


def why_not(layer: keras.layers.Layer) -> str:
    """Returns why the kernel of a layer cannot be written as a product, or an empty string if it can."""
    for kind, reason in WHOLE.items():
        if isinstance(layer, kind):
            return reason
    if not isinstance(layer, tuple(KINDS)):
        return f"there are no factors of a `{type(layer).__name__}`"
    if reason := differs_because(layer, KINDS):
        return reason
    if getattr(layer, "groups", 1) > 1:
        return "it convolves groups of channels by themselves"
    kind = factorable(layer)
    if constraint := kind.variable.constraint:
        return f"its kernel has a constraint, `{type(constraint).__name__}`, that factors would not keep"
    return "" if np.isfinite(kind.kernel).all() else "its kernel is not finite"


def factorable(layer: keras.layers.Layer) -> Factorable:
    """Returns a layer, for which `why_not` has no reason, as one whose kernel can be written as a product."""
    return KINDS[type(layer)](layer)

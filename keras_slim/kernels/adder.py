"""Convolution by L1 distance, with the gradients that adder networks train with (Chen et al. 2020, arXiv 1912.13200).

Nothing of the size of patches times filters is stored. What XLA makes fast is a loop over the rows of the kernel and
over slices of channels, in whose body every term is written out and added up in a few chains, channels last. A term has
as few operations as its formula allows: `|x - w| = 2 max(x, w) - x - w` needs a maximum and an addition for each pair,
and the sums of `x` and of `w` once. Rounding is that of the sizes of `x` and `w`, not of their difference.
"""

import dataclasses
import functools
import itertools
import math

import keras
from keras import ops

from keras_slim.kernels import torch_adder
from keras_slim.kernels.backends import compiled, gradient

TERMS = 24
"""A pass over the output sums at most so many terms, if it can: more are slower than another pass."""
LEAST = 16
"""If there are several passes, each sums at least so many terms: XLA cuts a slice that more than 15 instructions read
once, one with fewer readers anew in each of them, and then it does not vectorize the sum (TensorFlow 2.21)."""
PASS = 4
"""What a pass over the output costs beside its terms, in terms."""
CHAINS = 4
"""A pass sums its terms in so many independent chains, which a processor adds up side by side."""
ON_TORCH = keras.backend.backend() == "torch"


def adder_convolution(
    inputs, kernel, strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1, local_learning_rate=None
):
    """Returns minus the L1 distance between each patch of images and each filter.

    `y[n, i, j, f] = -sum |x[n, i * s + u * d, j * s + v * d, c] - w[u, v, c, f]|`, over `u`, `v` and `c` (equation 2).
    A padded position counts `|0 - w|`. The gradients are those of the paper, not the true ones, which are signs:
    `x - w` for the kernel (equation 5), and `w - x` clipped to -1 and 1 for the inputs (equation 6).

    Args:
        inputs: Tensor of floats, of shape `(batch, height, width, channels)`.
        kernel: Tensor of shape `(rows, columns, channels // groups, filters)`.
        strides: Two integers.
        padding: `"valid"`, `"same"` as in `keras.ops.conv`, or `"causal"`: zeros on the near side alone.
        dilation_rate: Two integers. Where one is above 1, both strides are 1.
        groups: Number of groups of channels, each with as many filters.
        local_learning_rate: `eta` of section 3.3: the kernel's gradient is scaled to the L2 norm `eta * sqrt(k)`, with
            `k` the number of its elements. `None` leaves it as it is.

    Returns:
        Tensor of shape `(batch, new height, new width, filters)`, of the dtype of the inputs. Sums are in float32 or
        wider.
    """
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    wide = "float64" if dtype == "float64" else "float32"
    inputs, kernel = ops.cast(inputs, wide), ops.cast(kernel, wide)
    kind = Kind.of(inputs, kernel, strides, padding, dilation_rate, groups)
    if not all(isinstance(pad, int) for pair in kind.paddings for pad in pair):  # of sizes not known before the data
        inputs, kind = kind.padded(inputs), dataclasses.replace(kind, paddings=((0, 0), (0, 0)))
    forward, input_gradient = _compiled(kind)

    @ops.custom_gradient
    def distance(inputs, kernel):
        def gradients(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            of_kernel = _kernel_gradient(kind, inputs, kernel, upstream)
            if local_learning_rate is not None:
                if dtype == "float16":
                    raise ValueError(
                        "A loss scale undoes the local learning rate of adder layers, and float16 needs one. Train in "
                        "'mixed_bfloat16' or 'float32', or give the layers `local_learning_rate=None`."
                    )
                goal = local_learning_rate * math.sqrt(math.prod(kernel.shape))
                of_kernel *= goal / ops.maximum(ops.sqrt(ops.sum(ops.square(of_kernel))), 1e-12)
            return input_gradient(inputs, kernel, upstream), of_kernel

        return forward(ops.stop_gradient(inputs), ops.stop_gradient(kernel)), gradients

    return ops.cast(distance(inputs, kernel), dtype)


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is known of a convolution before the data is: arguments of `adder_convolution`, zeros before and after."""

    shape: tuple[int, ...]
    strides: tuple[int, int]
    paddings: tuple[tuple[int, int], tuple[int, int]]
    dilation_rate: tuple[int, int]
    groups: int

    @classmethod
    def of(cls, inputs, kernel, strides, padding, dilation_rate, groups):
        """Returns that of the arguments of `adder_convolution`."""
        axes = zip(ops.shape(inputs)[1:3], kernel.shape[:2], strides, dilation_rate, strict=True)
        paddings = tuple(_padding(padding, *axis) for axis in axes)
        return cls(tuple(kernel.shape), tuple(strides), paddings, tuple(dilation_rate), groups)

    def padded(self, inputs):
        """Returns the inputs with zeros around."""
        return ops.pad(inputs, ((0, 0), *self.paddings, (0, 0)))

    def by_group(self, tensor):
        """Returns a tensor with its last axis divided into groups and what each of them has."""
        *first, last = ops.shape(tensor)
        return ops.reshape(tensor, (*first, self.groups, last // self.groups))


def _padding(padding, size, kernel_size, stride, dilation):
    """Returns the zeros before and after an axis."""
    reach = (kernel_size - 1) * dilation
    if padding == "valid" or not reach:
        return 0, 0
    if padding == "causal":
        return reach, 0
    if stride == 1:
        return reach // 2, reach - reach // 2
    missing = ((size + stride - 1) // stride - 1) * stride + reach + 1 - size
    missing = max(missing, 0) if isinstance(missing, int) else ops.maximum(missing, 0)
    return missing // 2, missing - missing // 2


@functools.cache
def _compiled(kind):
    """Returns the forward function and that of the gradient of the inputs, for one kind of convolution."""
    return compiled(functools.partial(_forward, kind)), compiled(functools.partial(_input_gradient, kind))


def _forward(kind, inputs, kernel):
    inputs = kind.padded(inputs)
    axes = zip(ops.shape(inputs)[1:3], kind.shape, kind.strides, kind.dilation_rate, strict=False)
    places = {
        "starts": (0, 0),
        "steps": kind.dilation_rate,
        "strides": kind.strides,
        "sizes": [(size - (taps - 1) * dilation - 1) // stride + 1 for size, taps, stride, dilation in axes],
    }
    inputs, weights = kind.by_group(inputs), kind.by_group(kernel)
    if ON_TORCH:
        return _ungrouped(-_sum_over_taps(inputs, weights, torch_adder.distance, (), **places))
    larger = _sum_over_taps(inputs, weights, ops.maximum, (), **places)
    sums = _sum_of_patches(inputs, kind.shape, **places) + ops.sum(weights, axis=(0, 1, 2))
    return _ungrouped(sums - 2 * larger)


def _input_gradient(kind, inputs, kernel, upstream):
    """Returns the gradient of the inputs, a sum over taps and filters.

    `clip(w - x, -1, 1)` is `clip(w, x - 1, x + 1)` less `x`, and that `x` is the same in each term of a position.
    With a stride, a position meets only each so many taps. Those that meet the same ones are a phase, and are computed
    together.
    """
    reach = [(taps - 1) * each for taps, each in zip(kind.shape, kind.dilation_rate, strict=False)]
    margins = [each // stride for each, stride in zip(reach, kind.strides, strict=True)]
    upstream = kind.by_group(ops.pad(upstream, ((0, 0), *((each, each + 1) for each in margins), (0, 0))))
    weights = ops.transpose(kind.by_group(kernel), (0, 1, 4, 3, 2))
    images = kind.by_group(inputs)
    phases = []
    for first in itertools.product(*map(range, kind.strides)):
        near = [at + pad[0] for at, pad in zip(first, kind.paddings, strict=True)]
        taps = [slice(at % stride, None, stride) for at, stride in zip(near, kind.strides, strict=True)]
        phase = images[:, first[0] :: kind.strides[0], first[1] :: kind.strides[1]]
        met = ops.flip(ops.flip(weights[taps[0], taps[1]], axis=0), axis=1)  # one by one, for Keras before 3.14
        places = {
            "starts": [
                at // stride + margin - (number - 1) * dilation
                for at, stride, margin, number, dilation in zip(
                    near, kind.strides, margins, met.shape, kind.dilation_rate, strict=False
                )
            ],
            "steps": kind.dilation_rate,
            "strides": (1, 1),
            "sizes": ops.shape(phase)[1:3],
        }
        if ON_TORCH:
            phases.append(_sum_over_taps(upstream, met, torch_adder.clipped_difference, (phase,), **places))
        else:
            clipped = _sum_over_taps(upstream, met, _clipped, (phase - 1, phase + 1), **places)
            phases.append(clipped - phase * _sum_of_patches(upstream, met.shape, **places))
    return _interleaved([_ungrouped(phase) for phase in phases], kind.strides, ops.shape(inputs))


def _clipped(gradient, weight, low, high):
    return gradient * ops.minimum(ops.maximum(weight, low), high)


def _ungrouped(images):
    """Returns images of shape `(batch, height, width, groups, channels)` with all channels along one axis."""
    *first, groups, channels = ops.shape(images)
    return ops.reshape(images, (*first, groups * channels))


def _interleaved(phases, strides, shape):
    """Returns images of a shape from their phases, in the order of `itertools.product` over the strides."""
    if len(phases) == 1:
        return phases[0]
    batch, *sizes, channels = shape
    full = [(size + stride - 1) // stride for size, stride in zip(sizes, strides, strict=True)]
    missing = [[to - size for to, size in zip(full, ops.shape(phase)[1:3], strict=True)] for phase in phases]
    phases = [
        ops.pad(phase, ((0, 0), (0, rows), (0, columns), (0, 0)))
        for phase, (rows, columns) in zip(phases, missing, strict=True)
    ]
    images = ops.reshape(ops.stack(phases), (*strides, batch, *full, channels))
    images = ops.transpose(images, (2, 3, 0, 4, 1, 5))
    images = ops.reshape(images, (batch, full[0] * strides[0], full[1] * strides[1], channels))
    return images[:, : sizes[0], : sizes[1]]


def _kernel_gradient(kind, inputs, kernel, upstream):
    """Returns the gradient of the kernel: that of a convolution, less the kernel times the sum of the gradient."""
    inputs = kind.padded(inputs)
    if ON_TORCH:
        products = torch_adder.products(kind, inputs, upstream)
    elif kind.groups == 1:
        options = kind.strides, "valid", "channels_last", kind.dilation_rate
        products = gradient(lambda kernel: ops.conv(inputs, kernel, *options), kernel, upstream)
    else:
        products = _products_by_group(kind, inputs, upstream)
    return products - kernel * ops.sum(upstream, axis=(0, 1, 2))


def _products_by_group(kind, inputs, upstream):
    """Returns the gradient of the kernel of a convolution in groups, which backends lack or are slow at, by tap."""
    sizes = ops.shape(upstream)[1:3]
    inputs, upstream = kind.by_group(inputs), kind.by_group(upstream)
    taps = []
    for tap in itertools.product(*map(range, kind.shape[:2])):
        rows, columns = (
            slice(at * dilation, at * dilation + (size - 1) * stride + 1, stride)
            for at, dilation, size, stride in zip(tap, kind.dilation_rate, sizes, kind.strides, strict=True)
        )
        taps.append(ops.einsum("nhwgc,nhwgf->cgf", inputs[:, rows, columns], upstream))
    return ops.reshape(ops.stack(taps), kind.shape)


def _sum_over_taps(inputs, weights, term, at, starts, steps, strides, sizes):
    """Returns the sum of a term over the taps of a kernel and over channels.

    `y[n, i, j, g, l]` is the sum of `term(inputs[n, i', j', g, k], weights[u, v, k, g, l], *at[n, i, j, g, l])` over
    `u`, `v` and `k`, with `i' = starts[0] + u * steps[0] + i * strides[0]`, and `j'` alike.

    Args:
        inputs: Tensor of shape `(batch, height, width, groups, channels)`.
        weights: Tensor of shape `(rows, columns, channels, groups, ...)`.
        term: Function that is zero of zeros, and of inputs that are zero if its other tensors are not.
        at: Tensors of the shape of the result that each term reads.
        starts: Two integers, as `steps` and `strides`.
        sizes: Height and width of the result.

    Returns:
        Tensor of shape `(batch, *sizes, groups, ...)`.
    """
    rows, columns, channels, groups, units = weights.shape
    batch, _, width, _, _ = ops.shape(inputs)
    if ON_TORCH and rows * columns:
        fused = torch_adder.sum_over_taps(inputs, weights, term, at, starts, steps, strides, sizes)
        if fused is not None:
            return fused
    total = ops.zeros((batch, *sizes, groups, units), inputs.dtype)
    if not rows * columns:
        return total
    block = _block(channels, columns)
    blocks = -(-channels // block)
    extra = (0, blocks * block - channels)
    inputs = ops.pad(inputs, (*[(0, 0)] * 4, extra))
    weights = ops.pad(weights, (*[(0, 0)] * 2, extra, *[(0, 0)] * 2))
    height = (sizes[0] - 1) * strides[0] + 1

    def add(index, total):
        row, channel = index // blocks, index % blocks * block
        patches = ops.slice(
            inputs, (0, starts[0] + row * steps[0], 0, 0, channel), (batch, height, width, groups, block)
        )
        taps = ops.slice(weights, (row, 0, channel, 0, 0), (1, columns, block, groups, units))
        terms = []
        for column, channel in itertools.product(range(columns), range(block)):
            places = _places(starts[1] + column * steps[1], sizes[1], strides[1])
            patch = patches[:, :: strides[0], places, :, channel : channel + 1]
            terms.append(term(patch, taps[0, column, channel], *at))
        return total + _sum_in_chains(terms)

    if block * columns < LEAST:  # few channels, a pass for each row: cut at places that XLA knows
        return functools.reduce(lambda total, row: add(row, total), range(rows), total)
    return ops.fori_loop(0, rows * blocks, add, total)


def _sum_of_patches(inputs, shape, starts, steps, strides, sizes):
    """Returns the sum of the inputs alone over the taps of a kernel of a shape and over channels, units of length 1."""
    sums = ops.sum(inputs, axis=-1, keepdims=True)
    patches = [
        sums[:, _places(starts[0] + row * steps[0], sizes[0], strides[0])][
            :, :, _places(starts[1] + column * steps[1], sizes[1], strides[1])
        ]
        for row, column in itertools.product(*map(range, shape[:2]))
    ]
    return sum(patches)


def _places(start, size, stride):
    """Returns the slice of so many places from a start."""
    return slice(start, start + (size - 1) * stride + 1, stride)


def _block(channels, columns):
    """Returns how many channels a pass reads: the cheapest number of those that give it terms enough, not too many."""
    least = min(-(-LEAST // columns), channels)
    fitting = range(least, max(least, min(channels, TERMS // columns)) + 1)
    return min(fitting, key=lambda block: -(-channels // block) * (block * columns + PASS))


def _sum_in_chains(terms):
    """Returns the sum of tensors, in a few chains that do not wait for each other."""
    return sum(sum(terms[chain::CHAINS][1:], terms[chain]) for chain in range(min(CHAINS, len(terms))))

"""Adder convolutions made of operations that a phone's runtime has: no loop, and no gradients of their own.

`|x - w| = 2 * max(x, w) - x - w` leaves one operation in place of two for each filter. Where a kernel has few different
values, `|x - t|` of each of them is shared by all filters, which a stock convolution of zeros and ones sums up.
"""

import itertools

import numpy as np
from keras import ops

from keras_slim.kernels.adder import Kind

MOST_JOINED = 4


def distances_by_filter(inputs, kernel, strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1):
    """Returns what `adder_convolution` does, one filter at a time.

    Args:
        inputs: As all arguments, that of `adder_convolution`; sizes are known.

    Returns:
        Tensor of shape `(batch, new height, new width, filters)`.
    """
    kind = Kind.of(inputs, kernel, strides, padding, dilation_rate, groups)
    if kind.shape[2] == 1:
        return _of_single_channels(kind, inputs, kernel)
    pairs = [(inputs, kernel)]
    if groups > 1:
        pairs = zip(ops.split(inputs, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
    found = []
    for images, weights in pairs:
        patches = _joined(_shifted(kind, images))
        filters = ops.reshape(weights, (-1, weights.shape[-1]))
        larger = [
            ops.sum(ops.maximum(patches, filters[:, number]), axis=-1, keepdims=True)
            for number in range(filters.shape[-1])
        ]
        sums = ops.sum(patches, axis=-1, keepdims=True) + ops.sum(filters, axis=0)
        found.append(sums - 2 * _joined(larger))
    return _joined(found)


def distances_by_value(inputs, kernel, strides=(1, 1), padding="valid", dilation_rate=(1, 1)):
    """Returns what `adder_convolution` does for a kernel of few different values, in one stock convolution.

    Args:
        inputs: As the other arguments, that of `adder_convolution`; sizes are known.
        kernel: NumPy array.

    Returns:
        Tensor of shape `(batch, new height, new width, filters)`.
    """
    kind = Kind.of(inputs, kernel, strides, padding, dilation_rate, groups=1)
    values = np.unique(kernel)
    images = kind.padded(inputs)  # before the distances: a padded position counts |0 - t|
    distances = _joined([ops.abs(images - value) for value in values])
    chosen = -np.concatenate([kernel == value for value in values], axis=2).astype(kernel.dtype)
    return ops.conv(distances, chosen, strides, "valid", "channels_last", dilation_rate)


def _of_single_channels(kind, inputs, kernel):
    """Returns the distances where each filter sees one channel: a sum over taps alone."""
    images = ops.repeat(inputs, kind.shape[-1] // kind.groups, axis=-1)
    taps = ops.unstack(ops.reshape(kernel, (-1, kind.shape[-1])))
    return -sum(ops.abs(image - tap) for image, tap in zip(_shifted(kind, images), taps, strict=True))


def _joined(tensors):
    """Returns tensors side by side; few at once, since XNNPACK leaves larger concatenations to slower code."""
    while len(tensors) > 1:
        tensors = [
            ops.concatenate(tensors[start : start + MOST_JOINED], axis=-1)
            for start in range(0, len(tensors), MOST_JOINED)
        ]
    return tensors[0]


def _shifted(kind, inputs):
    """Returns the padded images as each tap of the kernel sees them, those of the first row first."""
    images = kind.padded(inputs)
    rows, columns = (
        [slice(tap * gap, tap * gap + size - (taps - 1) * gap, stride) for tap in range(taps)]
        for size, taps, gap, stride in zip(
            images.shape[1:3], kind.shape, kind.dilation_rate, kind.strides, strict=False
        )
    )
    return [images[:, row, column] for row, column in itertools.product(rows, columns)]

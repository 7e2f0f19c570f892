"""The formulas of adder networks as a loop over positions, taps and filters: slow, and plainly right."""

import itertools

import numpy as np


def distances(x, w, strides=(1, 1), paddings=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """Returns minus the L1 distances of patches to filters, channels last."""
    x = np.pad(x, ((0, 0), *paddings, (0, 0)))
    found = np.zeros((len(x), *_sizes(x, w, strides, dilation), w.shape[-1]))
    for (i, j, f), patch, at in _patches(x, w, strides, dilation, groups):
        found[:, i, j, f] -= np.abs(x[patch] - w[at]).sum(axis=-1)
    return found


def gradients(x, w, upstream, strides=(1, 1), paddings=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """Returns the paper's gradients of the inputs and of the kernel."""
    (top, _), (left, _) = paddings
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), *paddings, (0, 0)))
    of_x, of_w = np.zeros_like(x), np.zeros_like(w)
    for (i, j, f), patch, at in _patches(x, w, strides, dilation, groups):
        slope = upstream[:, i, j, f, None]
        of_x[patch] += slope * np.clip(w[at] - x[patch], -1, 1)
        of_w[at] += (slope * (x[patch] - w[at])).sum(axis=0)
    return of_x[:, top : top + height, left : left + width], of_w


def same(size, kernel, stride, dilation):
    """Returns the zeros before and after an axis that keep its size, as TensorFlow documents them."""
    missing = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return missing // 2, missing - missing // 2


def _sizes(x, w, strides, dilation):
    axes = zip(x.shape[1:3], w.shape, strides, dilation, strict=False)
    return [(size - (taps - 1) * gap - 1) // stride + 1 for size, taps, stride, gap in axes]


def _patches(x, w, strides, dilation, groups):
    """Yields place and filter of the output, where the pixels of one tap lie, and where their weights."""
    rows, columns, channels, filters = w.shape
    height, width = _sizes(x, w, strides, dilation)
    for i, j, u, v, f in itertools.product(*map(range, (height, width, rows, columns, filters))):
        group = f // (filters // groups)
        pixels = i * strides[0] + u * dilation[0], j * strides[1] + v * dilation[1]
        yield (i, j, f), (slice(None), *pixels, slice(group * channels, (group + 1) * channels)), (u, v, slice(None), f)

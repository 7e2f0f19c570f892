"""What adder convolutions compute with on PyTorch, whose compiler makes one loop of terms and their sum.

In such a loop no operation is worth a pass over memory, so that terms are those of the paper as they are written.
"""

import functools
import math
import warnings

from keras_slim.errors import SlimWarning, first_sentence

TAPS = (-3, -2, -1)
MOST_LOOPS = 64
"""PyTorch compiles a loop anew for another precision, another layout, and axes of length 1 or of the same length."""

FEW = 1 << 18
"""Fewer terms are summed step by step: that takes milliseconds, compiling takes seconds."""

step_by_step = {"meta"}
"""Kinds of devices that PyTorch does not compile for here; on `meta` there is nothing to compute."""


def distance(x, weight):
    """A term of the distance of a patch to a filter, in PyTorch."""
    return (x - weight).abs()


def clipped_difference(gradient, weight, x):
    """A term of the gradient of an input, in PyTorch."""
    return gradient * (weight - x).clip(-1, 1)


def sum_over_taps(inputs, weights, term, at, starts, steps, strides, sizes):
    """Returns what `keras_slim.kernels.adder` sums step by step, or `None` where compiling cannot be, or does not pay.

    Args:
        inputs: As all arguments, that of `keras_slim.kernels.adder._sum_over_taps`.

    Returns:
        Tensor of shape `(batch, *sizes, groups, units)`. No term is stored, and no patch.
    """
    import torch

    device = inputs.device.type
    if device in step_by_step:
        return None
    inputs, weights, *at = (each.detach() for each in (inputs, weights, *at))
    rows, columns, channels, groups, _ = weights.shape
    if len(inputs) * math.prod(sizes) * weights.numel() < FEW:
        return None
    image, row, column, group, channel = inputs.stride()
    patches = inputs[:, starts[0] :, starts[1] :].as_strided(
        (len(inputs), *sizes, groups, 1, rows, columns, channels),
        (image, row * strides[0], column * strides[1], group, 0, row * steps[0], column * steps[1], channel),
    )
    weights = weights.permute(3, 4, 0, 1, 2)
    if channels > 1:
        weights = weights.contiguous()
    try:
        return _compiled(term)(patches, weights, *(each[..., None, None, None] for each in at))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        step_by_step.add(device)
        warnings.warn(
            f"Adder layers run step by step on '{device}', ten times as long or longer, since PyTorch does not compile "
            "them. Expected PyTorch 2.13 or later, and a C++ compiler, or Triton on a GPU. Received: "
            f"{first_sentence(error)}",
            SlimWarning,
            stacklevel=2,
        )
        return None


def products(kind, inputs, upstream):
    """Returns the gradient of the kernel of a convolution of padded images, in groups or not."""
    from torch.nn.grad import conv2d_weight

    rows, columns, channels, filters = kind.shape
    images, upstream = (each.detach().permute(0, 3, 1, 2) for each in (inputs, upstream))
    shape, options = (filters, channels, rows, columns), (kind.strides, 0, kind.dilation_rate, kind.groups)
    return conv2d_weight(images, shape, upstream, *options).permute(2, 3, 1, 0)


@functools.cache
def _compiled(term):
    """Returns the function that sums a term of patches and weights, compiled for all sizes at once."""
    import torch

    def summed(patches, weights, *at):
        if not torch.compiler.is_compiling():  # it would store every term
            raise RuntimeError(f"compiling is turned off, or there are more than {MOST_LOOPS} kinds of layers.")
        return term(patches, weights, *at).sum(TAPS)

    return torch.compile(summed, dynamic=True, recompile_limit=MOST_LOOPS)

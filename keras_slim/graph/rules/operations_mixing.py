"""Operations that mix what lies along some axes: reductions, softmax, sorting, running sums."""

import re

from keras_slim.graph.registry import register_rule

REDUCTIONS = """
    All Amax Amin Any Argmax Argmin CountNonzero Logsumexp Max Mean Median Min Moments Nanargmax Nanargmin Nanmax
    Nanmean Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar Norm Prod Ptp Std Sum Unstack Var
"""
OF_EQUAL_RANK = """
    Argpartition Argsort Cumprod Cumsum Diff Glu LogSoftmax Nancumprod Nancumsum Normalize Roll Softmax Sort Sparsemax
"""


@register_rule(*(f"ops.{name}" for name in (REDUCTIONS + OF_EQUAL_RANK).split()))
def mixing(call):
    """The axes it works on stay whole; all others are handed on, moved up where those are gone."""
    operation = call.layer
    return over_axes(call, operation.axes if hasattr(operation, "axes") else operation.axis)


@register_rule("ops.TopK")
def top_k(call):
    """The best along the last axis, and where they are."""
    return over_axes(call, -1)


@register_rule("ops.Average")
def average(call):
    """A mean; with weights it may run along more axes than it says."""
    if call.argument("weights", 1) is not None:
        return call.keep_inputs_whole("a weighted average has no rule")
    return mixing(call)


def over_axes(call, axes):
    """Keeps whole what runs along some axes of the input (`None` for all), and hands on the others."""
    inputs = call.inputs[0]
    rank = len(inputs.shape)
    axes = range(rank) if axes is None else [axes] if isinstance(axes, int) else axes
    mixed = {axis % rank for axis in axes}
    for axis in mixed:
        call.keep_whole(inputs.along(axis), f"{name_of(call.layer)} mixes the channels")
    left = [axis for axis in range(rank) if axis not in mixed or len(call.output_shapes[0]) == rank]
    handed_on = {left.index(axis): atoms for axis, atoms in inputs.axes.items() if axis not in mixed}
    return [call.output(handed_on, index) for index in range(len(call.output_shapes))]


def name_of(operation):
    """Returns the name by which `keras.ops` has an operation."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(operation).__name__).lower()

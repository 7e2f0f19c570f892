"""Operations that mix what lies along some axes: reductions, softmax, sorting, running sums."""

import re

from keras_slim.graph.registry import register_rule

REDUCTIONS = """
    All Amax Amin Any CountNonzero Logsumexp Max Mean Median Min Moments Nanmax Nanmean Nanmedian Nanmin Nanprod Nanstd
    Nansum Nanvar Norm Prod Ptp Std Sum Var
"""
ONE_BY_ONE = "Argmax Argmin Nanargmax Nanargmin Unstack"
OF_EQUAL_RANK = """
    Argpartition Argsort Cumprod Cumsum Diff Glu LogSoftmax Nancumprod Nancumsum Roll Softmax Sort Sparsemax
"""


@register_rule(*(f"ops.{name}" for name in REDUCTIONS.split()))
def reduction(call):
    """It is taken over the channels that are there; other axes are handed on, moved up where those are gone."""
    return _over_axes(call, _axes(call), call.statistics)


@register_rule(*(f"ops.{name}" for name in (ONE_BY_ONE + OF_EQUAL_RANK).split()))
def mixing(call):
    """The axes it works on stay whole; all others are handed on, moved up where those are gone."""
    return _over_axes(call, _axes(call), _keep_whole(call))


@register_rule("ops.TopK")
def top_k(call):
    """The best along the last axis, and where they are."""
    return _over_axes(call, {len(call.inputs[0].shape) - 1}, _keep_whole(call))


@register_rule("ops.Average")
def average(call):
    """A mean; with weights it may run along more axes than it says."""
    if call.argument("weights", 1) is not None:
        return call.keep_inputs_whole("a weighted average has no rule")
    return reduction(call)


def _axes(call):
    """Returns the axes of the input that an operation works on, non-negative."""
    rank = len(call.inputs[0].shape)
    axes = call.layer.axes if hasattr(call.layer, "axes") else call.layer.axis
    axes = range(rank) if axes is None else [axes] if isinstance(axes, int) else axes
    return {axis % rank for axis in axes}


def _keep_whole(call):
    """Returns the function that keeps whole what runs along an axis that is mixed."""
    return lambda axis, atoms: call.keep_whole(atoms, f"{name_of(call.layer)} mixes the channels")


def _over_axes(call, mixed, state):
    """States something of what runs along some axes of the input, and hands on the others."""
    inputs = call.inputs[0]
    rank = len(inputs.shape)
    for axis in mixed:
        state(axis, inputs.along(axis))
    left = [axis for axis in range(rank) if axis not in mixed or len(call.output_shapes[0]) == rank]
    handed_on = {left.index(axis): atoms for axis, atoms in inputs.axes.items() if axis not in mixed}
    return [call.output(handed_on, index) for index in range(len(call.output_shapes))]


def name_of(operation):
    """Returns the name by which `keras.ops` has an operation."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(operation).__name__).lower()

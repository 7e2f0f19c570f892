"""What a layer of one's own computes with its weights, as `keras_slim.functional` writes it out."""

from keras_slim.graph.registry import register_rule
from keras_slim.layers.for_each_sample import ForEachSample
from keras_slim.layers.weight import Weight


@register_rule(Weight)
def weight(call):
    """Its numbers follow the units of the tensors they meet, along every axis."""
    axes = {}
    for axis, size in enumerate(call.layer.shape):
        if size > 1:
            axes[axis] = call.following(size, f"axis {axis}")
            call.weight(call.layer.weight, follows={axis: axes[axis]})
            call.resize("shape", axes[axis], index=axis)
    return call.output(axes)


@register_rule(ForEachSample)
def for_each_sample(call):
    """The axes of the value are handed on, aligned at the last; those of the batch do not count."""
    value, shape = call.channels_of(call.argument("inputs", 0)[0]), call.output_shapes[0]
    axes = {}
    for axis, atoms in value.axes.items():
        from_end = axis - len(value.shape)
        if value.shape[from_end] == shape[from_end]:
            axes[from_end] = atoms
            call.resize("shape", atoms, index=len(shape) + from_end - 1)
        else:
            call.keep_whole(atoms, "it is broadcast over other channels")
    return call.output(axes)

"""What is tried out: whether a layer, or a function in it, hands units on where they are."""

import inspect

import keras

from keras_slim.graph.functions import is_elementwise
from keras_slim.graph.trying import mixes_because
from keras_slim.held import is_stock
from keras_slim.remaking import config_of, made_from


def handed_on(call, functions, held=None):
    """Returns what runs along the axes of the output if units stay where they are, and why they do not, or nothing.

    An axis stays where it is, counted from the start or from the end.

    Args:
        call: The call of a layer with one input and one output.
        functions: All that it may do with its input.
        held: As in `mixes_because`.
    """
    (inputs,), (shape,) = call.inputs, call.output_shapes
    if inputs.shape == shape and is_elementwise(functions[0]):
        return inputs.axes, ""
    dtype, axes, reason = dtype_of(call.node.inputs[0], call.layer), {}, ""
    for axis, atoms in inputs.axes.items():
        reason = "mixes the channels"
        for place in dict.fromkeys((axis, axis + len(shape) - len(inputs.shape))):
            if 0 < place < len(shape) and shape[place] == inputs.shape[axis] and place not in axes:
                output = None if inputs.shape == shape and held is None else (len(shape), place)
                reasons = (mixes_because(each, inputs.shape, axis, dtype, output, held) for each in functions)
                reason = next(filter(None, reasons), "")
                if not reason:
                    axes[place] = atoms
                    break
        if reason:
            break
    return axes, reason


def dtype_of(tensor, layer):
    """Returns the type in which a layer computes with a tensor that it is given."""
    return layer.compute_dtype if "float" in tensor.dtype else tensor.dtype


def as_function(layer):
    """Returns what a layer of the user's own does, by copies made anew for every input; `None` if that cannot be tried.

    What it learns of its input when it is built is another thing in a smaller network. What it does in training follows
    what it does otherwise, along the first axis.
    """
    if not isinstance(layer, keras.Layer) or is_stock(type(layer)) or layer.variables:
        return None
    arguments = inspect.signature(layer.call).parameters
    modes = [{"training": False}, {"training": True}] if "training" in arguments else [{}]

    def function(tensor):
        copies = [made_from(config_of(layer), layer) for _ in modes]
        outputs = [copy(tensor, **options) for copy, options in zip(copies, modes, strict=True)]
        if any(copy.variables for copy in copies):
            raise ValueError("it has weights once it is built")
        return keras.ops.concatenate(outputs, axis=0)

    return None if "mask" in arguments else function

"""`Lambda` layers: their function is tried, or followed operation by operation, and is called as it is after a cut."""

import functools
import inspect

import keras
import numpy as np

from keras_slim.graph.call import FunctionCall, Record
from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.functions import name_of
from keras_slim.graph.handing_on import dtype_of, handed_on
from keras_slim.graph.nodes import walk
from keras_slim.graph.registry import find_rule, register_rule
from keras_slim.graph.trying import broken_law, known_sizes
from keras_slim.remaking import config_of


@register_rule(keras.layers.Lambda)
def lambda_(call):
    """Units are handed on where the function is seen to do so, or made of operations with rules; else they stay."""
    if all((channels.all() == WHOLE).all() for channels in call.inputs):
        return call.keep_inputs_whole("it has no units")
    rule = find_rule(call.layer.function)
    outputs = (_tried if rule is None else rule)(call)
    return _counted(call, [outputs] if isinstance(outputs, Channels) else list(outputs))


def _tried(call):
    """Returns the channels of the outputs of a function that has no rule."""
    arguments = inspect.getfullargspec(call.layer.function).args
    if "mask" in arguments:
        return call.keep_inputs_whole(f"function '{name_of(call.layer.function)}' may do another thing with a mask")
    functions = [functools.partial(call.layer.function, **call.layer.arguments)]
    if not call.layer.arguments:
        functions = [call.layer.function]  # what is found of it is remembered
    if "training" in arguments:
        functions = [functools.partial(*functions, training=training) for training in (False, True)]
    reason = "mixes the channels"
    if len(call.inputs) == len(call.output_shapes) == 1:
        axes, reason = handed_on(call, functions)
        if not reason:
            return call.output(axes)
    return _followed(call, functions[0], reason) if len(functions) == 1 else _whole(call, reason)


def _whole(call, reason):
    return call.keep_inputs_whole(f"function '{name_of(call.layer.function)}' {reason}")


def _counted(call, outputs):
    """States what the layer is told of the shape of its output, and returns the channels."""
    sizes = config_of(call.layer).get("output_shape")
    axes = outputs[0].axes
    if sizes is None or not any(channels.axes for channels in outputs):
        return outputs
    if len(outputs) > 1 or not (_is_shape(sizes, outputs[0]) or _is_right(call, axes)):
        return _whole(call, "has an `output_shape` that stays as it is when units are cut")
    if _is_shape(sizes, outputs[0]):
        for axis, atoms in axes.items():
            if sizes[axis - 1] is not None:
                call.resize("output_shape", atoms, index=axis - 1)
    return outputs


def _is_shape(sizes, channels):
    """Tells whether an entry of a config holds the sizes of all axes but the batch."""
    is_flat = isinstance(sizes, list | tuple) and all(isinstance(size, int | None) for size in sizes)
    return is_flat and len(sizes) == len(channels.shape) - 1


def _is_right(call, axes):
    """Tells whether a function that gives the shape of the output counts units where these run along axes."""
    given = [_one_less(channels.shape, channels.axes) for channels in call.inputs]
    try:
        shape = call.layer.compute_output_shape(given[0] if len(given) == 1 else given)
    except Exception:  # it may do anything
        return False
    return tuple(shape) == _one_less(call.output_shapes[0], axes)


def _one_less(shape, axes):
    return tuple(size - 1 if axis in axes else size for axis, size in enumerate(shape))


def _followed(call, given_function, reason):
    """Returns the channels of the outputs, by the rules of the operations that a function is made of."""
    dtypes = [dtype_of(tensor, call.layer) for tensor in call.node.inputs]
    structure = call.node.args[0] if call.node.args else call.node.kwargs["inputs"]

    def function(*tensors):
        return given_function(keras.tree.pack_sequence_as(structure, list(tensors)))

    known, inputs = _numbered(call.inputs)
    traced = _traced(function, inputs, dtypes)
    if traced is None:
        return _whole(call, reason)
    record = Record(num_atoms=len(known) - 1)
    outputs = _by_rules(*traced, inputs, call.path, record)
    if record.unsupported:
        return call.keep_inputs_whole(*record.unsupported.values())
    ties, wholes = [each[:2] for each in record.ties], [each[0] for each in record.wholes]
    try:
        broken = broken_law(function, inputs, outputs, dtypes, ties, wholes, held=given_function)
    except Exception:  # it may do anything
        broken = "fails when it is tried"
    if broken or not _has_true_sizes(call, outputs):
        return _whole(call, broken or "makes sizes of one axis from those of another")
    for first, second in ties:
        call.tie(known[first], known[second])
    for atoms, _, why in record.wholes:
        call.keep_whole(known[atoms], why)
    axes = [{axis: known[atoms] for axis, atoms in each.axes.items()} for each in outputs]
    return [call.output(each, index) for index, each in enumerate(axes)]


def _has_true_sizes(call, outputs):
    """Tells whether the axes with units have the sizes that Keras knows, whatever sizes were unknown."""
    return len(outputs) == len(call.output_shapes) and all(
        len(each.shape) == len(shape) and all(shape[axis] == len(atoms) for axis, atoms in each.axes.items())
        for each, shape in zip(outputs, call.output_shapes, strict=True)
    )


def _traced(function, inputs, dtypes):
    """Returns the calls that a function makes, and the tensors it starts and ends with; `None` if that is not known."""
    starts = [
        keras.Input(batch_shape=channels.shape, dtype=dtype, name=f"given_{index}")
        for index, (channels, dtype) in enumerate(zip(inputs, dtypes, strict=True))
    ]
    try:
        model = keras.Model(starts, function(*starts))
        nodes = [node for node in walk(model) if not isinstance(node.operation, keras.layers.InputLayer)]
    except Exception:  # whatever comes of giving it what has no values
        return None
    return None if any(isinstance(node.operation, keras.Layer) for node in nodes) else (nodes, starts, model.outputs)


def _numbered(inputs):
    """Returns the atoms of some channels, with `WHOLE` last, and the same channels with their places among these.

    Sizes that were not known are now.
    """
    known = np.unique(np.concatenate([channels.all() for channels in inputs]))
    known = np.append(known[known != WHOLE], WHOLE)

    def numbers(atoms):
        return np.where(atoms == WHOLE, WHOLE, np.searchsorted(known[:-1], atoms))

    axes = [{axis: numbers(atoms) for axis, atoms in each.axes.items()} for each in inputs]
    return known, [Channels(known_sizes(each.shape), found) for each, found in zip(inputs, axes, strict=True)]


def _by_rules(nodes, starts, ends, inputs, path, record):
    """Returns the channels that the rules of operations lead to."""
    found = {id(tensor): channels for tensor, channels in zip(starts, inputs, strict=True)}
    for node in nodes:
        call = FunctionCall(node, path, [found[id(tensor)] for tensor in node.inputs], record)
        found.update(zip(map(id, node.outputs), call.ask_rule(), strict=True))
    return [found[id(tensor)] for tensor in ends]

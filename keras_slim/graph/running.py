"""Computing a model call by call, so that each call can be watched or replaced."""

import keras

from keras_slim.graph.endpoints import endpoints
from keras_slim.graph.nodes import walk


def run(model, inputs, call):
    """Computes a model's outputs, on values or on symbolic tensors, each call in the caller's hands.

    Args:
        model: A Functional or built Sequential model.
        inputs: Its inputs, flat.
        call: Function `(node, inputs, args, kwargs)` that computes what one call returns. `inputs` holds the values of
            the node's tensors, flat; `args` and `kwargs` are those of the node, with each tensor replaced by its value.

    Returns:
        The outputs, in the structure of the model's.
    """
    values = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
    for node in walk(model):
        if not isinstance(node.operation, keras.layers.InputLayer):
            args, kwargs = keras.tree.map_structure(lambda leaf: values.get(id(leaf), leaf), (node.args, node.kwargs))
            given = [values[id(tensor)] for tensor in node.inputs]
            outputs = keras.tree.flatten(call(node, given, args, kwargs))
            values.update({id(tensor): value for tensor, value in zip(node.outputs, outputs, strict=True)})
    return keras.tree.map_structure(lambda tensor: values[id(tensor)], endpoints(model)[1])

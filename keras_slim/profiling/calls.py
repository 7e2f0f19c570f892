"""The calls of a model and of the models inside it, each with a path and with the shapes it really sees."""

from collections.abc import Iterator

import keras

from keras_slim.graph.nodes import Node, is_graph, walk


def calls(model, inputs=None, prefix="") -> Iterator[tuple[str, Node]]:
    """Yields every call of an operation, those of inner models in place of the call of the model.

    Args:
        model: A functional model, or a `Sequential` that has been built.
        inputs: Symbolic tensors the model is called on, flat; its own inputs if omitted.
        prefix: What to put before the names, e.g. `"encoder/"`.

    Yields:
        Pairs of a path such as `"encoder/conv"` and the call. Input layers are left out.
    """
    for node in _seen_from_outside(walk(model), model, inputs):
        path = prefix + node.operation.name
        if is_graph(node.operation):
            yield from calls(node.operation, node.inputs, f"{path}/")
        elif not isinstance(node.operation, keras.layers.InputLayer):
            yield path, node


def _seen_from_outside(nodes, model, inputs):
    """Returns the nodes with the shapes that follow from `inputs`, where the model itself leaves some open."""
    if inputs is None or not any(None in tensor.shape[1:] for tensor in model.inputs):
        return nodes
    tensors = {id(own): given for own, given in zip(model.inputs, inputs, strict=False)}
    return [_recall(node, tensors) for node in nodes if not isinstance(node.operation, keras.layers.InputLayer)]


def _recall(node, tensors):
    """Returns `node` called on what `tensors` holds for its inputs, by `id`, and adds its outputs to `tensors`."""
    call = node.on(tensors)
    outputs = keras.tree.flatten(node.operation.compute_output_spec(*call.args, **call.kwargs))
    tensors.update({id(own): given for own, given in zip(node.outputs, outputs, strict=True)})
    return node.on(tensors)

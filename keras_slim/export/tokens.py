"""Whole numbers that stand for something, such as words: floats in the file, int8 would round them to others."""

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.nodes import walk


def check_tokens(model, data, owner):
    """Raises `ValueError` if an input of floats takes tokens, for a file in which all floats become int8.

    Args:
        model: A Keras model: inputs that an `Embedding` reads take tokens; those of a subclassed one, where arrays of
            integers of more than 8 bits come.
        data: What the user gave, or None.
        owner: Name of the function that was given them.
    """
    shows_inputs = hasattr(model, "inputs")
    if not (_embeds_floats(model) if shows_inputs else _holds_integers(data)):
        return
    expected = "inputs of integers for tokens: as int8 stores floats, tokens would arrive as others"
    hint = "Begin the model with keras.Input(shape, dtype='int32'), or export `slim.functional(model, inputs=tokens)`."
    if not shows_inputs:
        hint += " If these are no tokens, give `data` as floats."
    received = f"'{model.name}', which takes floats"
    raise ValueError(invalid_argument("model", owner, expected=expected, received=received, hint=hint))


def _embeds_floats(model):
    floats = {id(tensor) for tensor in model.inputs if keras.backend.is_float_dtype(tensor.dtype)}
    embeddings = (node for node in walk(model) if isinstance(node.operation, keras.layers.Embedding))
    return any(id(tensor) in floats for node in embeddings for tensor in node.inputs)


def _holds_integers(data):
    arrays = [leaf for leaf in keras.tree.flatten(data) if hasattr(leaf, "dtype")]
    dtypes = {keras.backend.standardize_dtype(array.dtype) for array in arrays}
    return not dtypes.isdisjoint({"int16", "uint16", "int32", "uint32", "int64", "uint64"})

"""A model's symbolic inputs and outputs, in the structure its callers use."""

import keras


def endpoints(model):
    """Returns the inputs and outputs of a model: a tensor, or the list or dictionary of tensors it was built with."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output

"""The loss of a compiled model, outside of its training."""

import inspect


def loss_function(model):
    """Returns the function from `(x, y, predicted, sample_weight)` to the model's loss at inference."""
    # Keras allows a model's own `compute_loss` to have no `training`.
    at_inference = {"training": False} if "training" in inspect.signature(model.compute_loss).parameters else {}

    def loss(x, y, predicted, sample_weight):
        return model.compute_loss(x, y, predicted, sample_weight, **at_inference)

    return loss

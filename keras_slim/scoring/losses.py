"""The loss of a compiled model, outside of its training."""

import inspect

import keras


def loss_function(model):
    """Returns the function from `(x, y, predicted, sample_weight)` to the model's loss at inference.

    Without the penalties on weights: they say nothing of what a unit contributes, and a cut changes them anyhow.
    """
    # Keras allows a model's own `compute_loss` to have no `training`.
    at_inference = {"training": False} if "training" in inspect.signature(model.compute_loss).parameters else {}

    penalised = [weight for weight in model.trainable_weights if weight.regularizer is not None]
    if type(model).compute_loss is not keras.Model.compute_loss:
        penalised = []  # it is the model's own business what it adds

    def loss(x, y, predicted, sample_weight):
        total = model.compute_loss(x, y, predicted, sample_weight, **at_inference)
        return total - sum(weight.regularizer(weight) for weight in penalised)

    return loss

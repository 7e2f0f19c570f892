"""The loss of a compiled model, outside of its training."""

import inspect

import keras

from keras_slim.errors import in_short
from keras_slim.graph.endpoints import endpoints
from keras_slim.scoring.data import num_samples


def loss_function(model):
    """Returns the function from `(x, y, predicted, sample_weight)` to the model's loss at inference.

    Without the penalties on weights: they say nothing of what a unit contributes, and a cut changes them anyhow.

    It raises `ValueError` for targets that the loss does not take.
    """
    # Keras allows a model's own `compute_loss` to have no `training`.
    at_inference = {"training": False} if "training" in inspect.signature(model.compute_loss).parameters else {}

    penalised = _penalised(model)
    if type(model).compute_loss is not keras.Model.compute_loss:
        penalised = []  # it is the model's own business what it adds

    def loss(x, y, predicted, sample_weight):
        try:
            total = model.compute_loss(x, y, predicted, sample_weight, **at_inference)
        except Exception as error:  # each backend has its own for shapes, and a loss of the user's own any
            raise _not_taken(model, y, predicted, error) from error
        return total - sum(weight.regularizer(weight) for weight in penalised)

    return loss


def check_targets(model, batch):
    """Raises `ValueError` if the loss does not take the targets of a batch `(x, y, sample_weight)`.

    Halves, which may be probabilities or not, stand for what the model answers. Nothing is checked where the shape of
    an output is known to the call alone, or the loss depends on more than the answers.
    """
    x, y, sample_weight = batch
    shapes = [tensor.shape[1:] for tensor in model.outputs]
    if len(shapes) != sum(each is not None for each in keras.tree.flatten(y)):
        return  # Keras remembers which outputs had targets first: that is for `fit` to say
    has_more = len(model.losses) != len(_penalised(model)) or type(model).compute_loss is not keras.Model.compute_loss
    if has_more or any(None in shape for shape in shapes):
        return
    size = num_samples(x)
    halves = [
        keras.ops.full((size, *shape), 0.5, each.dtype) for shape, each in zip(shapes, model.outputs, strict=True)
    ]
    predicted = keras.tree.pack_sequence_as(endpoints(model)[1], halves)
    loss_function(model)(x, y, predicted, sample_weight)


def _penalised(model):
    """Returns the weights on which a penalty is part of the loss."""
    return [weight for weight in model.trainable_weights if weight.regularizer is not None]


def _not_taken(model, y, predicted, error):
    return ValueError(
        f"The loss of model '{model.name}' does not take these targets. Expected targets as `fit` takes them. "
        f"Received: targets of shape {_shapes(y)}, where the outputs have shape {_shapes(predicted)}: "
        f"{in_short(error)}. Class numbers go with a sparse loss, one-hot vectors with one that is not."
    )


def _shapes(nested):
    """Returns the shape of an array, or a list of those of several."""
    shapes = [tuple(each.shape) for each in keras.tree.flatten(nested) if hasattr(each, "shape")]
    return shapes[0] if len(shapes) == 1 else shapes

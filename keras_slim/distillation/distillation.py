"""How a smaller network learns from the larger one it was."""

from dataclasses import dataclass

import keras

from keras_slim.errors import invalid_argument
from keras_slim.validation import check_share

LOGITS = keras.distillation.LogitsDistillation


@dataclass(frozen=True)
class Distillation:
    """Says how a pruned network learns from what the dense one puts out.

    The loss in training is `w * (the model's own) + (1 - w) * (the distillation loss)`, as in Keras's `Distiller`
    (Hinton et al. 2015, arXiv 1503.02531). Metrics and the loss in validation stay the model's own.

    Args:
        loss: One of Keras's distillation losses, on the final outputs. Defaults to `LogitsDistillation` at temperature
            3 with the Kullback-Leibler divergence. For `LogitsDistillation`, outputs of a softmax are taken back to
            logits by their logarithm; and the divergence asked for by name, which Keras 3.15 computes from the logits
            themselves, is that of their softmax.
        student_loss_weight: The weight `w`, from 0 to below 1.

    Raises:
        TypeError: If the loss is no distillation loss.
        ValueError: If the weight is out of range, or the loss compares layers inside the networks, whose widths differ.

    Example:

    >>> distillation = Distillation(keras.distillation.LogitsDistillation(temperature=4.0), student_loss_weight=0.3)
    >>> Distillation.from_config(distillation.get_config()).loss.temperature
    4.0
    """

    loss: keras.distillation.DistillationLoss = None
    student_loss_weight: float = 0.5

    def __post_init__(self):
        check_share(self.student_loss_weight, "student_loss_weight", "Distillation", zero=True)
        object.__setattr__(self, "loss", _check_loss(self.loss))

    def get_config(self) -> dict:
        """Returns the arguments as plain values."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, "student_loss_weight": self.student_loss_weight}

    @classmethod
    def from_config(cls, config: dict) -> "Distillation":
        """Returns what `get_config` described."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def _check_loss(loss):
    """Returns the loss, or raises if it is none, or compares layers by name."""
    if loss is None:
        return LOGITS(temperature=3.0, loss=keras.losses.KLDivergence())
    if not isinstance(loss, keras.distillation.DistillationLoss):
        expected = "a loss of `keras.distillation`, e.g. `LogitsDistillation(temperature=3.0)`"
        raise TypeError(invalid_argument("loss", "Distillation", expected=expected, received=loss))
    if getattr(loss, "teacher_layer_name", None) or getattr(loss, "student_layer_name", None):
        hint = "A layer's width changes with every cut, so its outputs cannot be compared with those it had."
        expected = "a loss on the final outputs, without names of layers"
        raise ValueError(invalid_argument("loss", "Distillation", expected=expected, received=loss, hint=hint))
    return LOGITS(loss.temperature, keras.tree.map_structure(_divergence, loss.loss)) if type(loss) is LOGITS else loss


def _divergence(loss):
    return keras.losses.KLDivergence() if loss is keras.losses.kl_divergence else loss

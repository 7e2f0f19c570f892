"""A teacher beside a model that is being trained, without a model around both.

`compute_loss` is the method that Keras gives users to override. While the teaching lasts, the model object has one of
its own: in training it adds what the teacher says, in validation it is the model's. The model's class, its layers and
what is saved of it stay the same, so that it can be cut, saved and evaluated meanwhile.
"""

import inspect

import keras

from keras_slim.distillation.distillation import LOGITS, Distillation
from keras_slim.errors import UnsupportedLayerError, invalid_argument
from keras_slim.graph.endpoints import endpoints
from keras_slim.graph.nodes import is_graph, walk

OVERRIDDEN = ("compute_loss", "make_train_function")


class Teaching:
    """Adds a distillation loss to the training of a model, until it ends.

    If `fit` is interrupted, so that nobody ends it, it ends when the next one begins: each calls
    `make_train_function()`. In the middle of `fit`, make the function anew by `make_train_function(force=True)`.

    Args:
        model: The model that learns, compiled. Nothing is changed before `begin`.
        teacher: A model with inputs and outputs of the same structure, which is not trained. With `None`, nothing is
            added yet: it is only seen to that a training step gives `compute_loss` what a teacher answers.
        distillation: The `Distillation`.
    """

    def __init__(self, model: keras.Model, teacher: keras.Model | None, distillation: Distillation):
        self._model = model
        self.teacher = teacher
        self._distillation = distillation
        self._are_shares = []
        if teacher is not None and isinstance(distillation.loss, LOGITS):
            self._are_shares = end_in_softmax(teacher)
        self._before: dict = {}
        self._plain = model.compute_loss

    @property
    def is_on(self) -> bool:
        """Whether the model learns from the teacher in its next training step."""
        return vars(self._model).get("compute_loss") == self._compute_loss

    def begin(self) -> None:
        """Adds the loss; the training step must be made anew for it to count."""
        self._before = {name: vars(self._model)[name] for name in OVERRIDDEN if name in vars(self._model)}
        if self.teacher is not None:
            self.teacher.trainable = False
        vars(self._model).update({name: getattr(self, f"_{name}") for name in OVERRIDDEN})

    def end(self) -> None:
        """Leaves the model as it was before, with a step that is made anew when it is needed."""
        if self.is_on:
            self.leave()
            vars(self._model).update({"train_function": None, "test_function": None})

    def leave(self) -> None:
        """Leaves the model as it was before; the step that is in use stays as it was compiled."""
        if self.is_on:
            for name in OVERRIDDEN:
                del vars(self._model)[name]
            vars(self._model).update(self._before)

    def _make_train_function(self, force=False):
        if not force:  # a `fit` begins, and this belongs to one before
            self.end()
            return self._model.make_train_function()
        return type(self._model).make_train_function(self._model, force=True)

    def _compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = self._plain(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return loss
        try:
            return self._taught(loss, x, y_pred)
        except BaseException:
            self.end()  # nobody else will: `fit` ends here
            raise

    def _taught(self, loss, x, y_pred):
        if x is None:
            raise UnsupportedLayerError(
                f"Class `{type(self._model).__name__}` calls `compute_loss` without `x`. Expected the inputs, of which "
                "the dense network says what is to be learned. Pass `x=x` in its `train_step`: "
                "`self.compute_loss(x=x, y=y, y_pred=y_pred)`; in a `test_step`, `training=False` too."
            )
        if self.teacher is None:
            return loss
        weight, distillation = self._distillation.student_loss_weight, self._distillation.loss
        said = as_logits(self.teacher(x, training=False), self._are_shares)
        answered = as_logits(y_pred, self._are_shares)
        distillation.validate_outputs(said, answered)
        return weight * loss + (1 - weight) * distillation.compute_loss(said, answered)


def check_teachable(
    model: keras.Model, distillation: Distillation, owner: str, readable: keras.Model | None = None
) -> None:
    """Raises what teaching would raise about a model, before it is trained.

    Args:
        model: The model.
        distillation: The `Distillation`.
        owner: Name of the callback, for error messages.
        readable: What can be read in its place. Defaults to itself.

    Raises:
        UnsupportedLayerError: If its own `compute_loss` cannot tell training from validation.
        ValueError: If the distillation loss does not fit its outputs.
    """
    if "training" not in inspect.signature(model.compute_loss).parameters:
        raise UnsupportedLayerError(
            f"Class `{type(model).__name__}` has a `compute_loss` of its own that does not know whether it is training "
            "or validation. Expected an argument `training`, so that only training learns from the dense network. "
            "Give it `training=True` as its last argument."
        )
    outputs = keras.tree.map_structure(
        lambda tensor: keras.ops.ones([size or 1 for size in tensor.shape]), endpoints(readable or model)[1]
    )
    try:
        distillation.loss.validate_outputs(outputs, outputs)
        distillation.loss.compute_loss(outputs, outputs)
    except Exception as error:
        shapes = keras.tree.map_structure(lambda output: tuple(output.shape), outputs)
        expected = f"a loss that compares outputs of shape {shapes}"
        hint = f"For several outputs give one loss each, e.g. `LogitsDistillation(loss={_one_each(outputs)})`."
        raise ValueError(
            invalid_argument("distillation", owner, expected=expected, received=distillation.loss, hint=hint)
        ) from error


def _one_each(outputs):
    """Returns, as code, a loss for the first of several outputs, by name where they have names."""
    losses = ["KLDivergence()", *["None"] * (len(outputs) - 1)]
    if isinstance(outputs, dict):
        return f"{{{', '.join(f'{name!r}: {loss}' for name, loss in zip(outputs, losses, strict=True))}}}"
    return f"[{', '.join(losses)}]"


def as_logits(outputs, are_shares: list[bool]):
    """Returns outputs in float32, those that are shares taken back to logits by their logarithm.

    Args:
        outputs: Tensors in the structure of a model's outputs.
        are_shares: Whether each of them, flat, is the result of a softmax; empty if none is.
    """
    flat = [keras.ops.cast(each, "float32") for each in keras.tree.flatten(outputs)]
    for place, is_share in enumerate(are_shares):
        if is_share:
            flat[place] = keras.ops.log(keras.ops.maximum(flat[place], keras.config.epsilon()))
    return keras.tree.pack_sequence_as(outputs, flat)


def end_in_softmax(model: keras.Model) -> list[bool]:
    """Tells of each output of a model, flat, whether a softmax over its last axis computes it.

    Example:

    >>> end_in_softmax(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")]))
    [True]
    """
    makers = {id(tensor): (node, place) for node in walk(model) for place, tensor in enumerate(node.outputs)}
    return [_is_share(tensor, makers) for tensor in model.outputs]


def _is_share(tensor, makers):
    """Tells whether a softmax makes a tensor, looking through what hands on its input as it is."""
    node, place = makers[id(tensor)]
    operation, rank = _at_each_step(node.operation, len(tensor.shape))
    if _hands_on(operation):
        return _is_share(node.inputs[0], makers)
    if is_graph(operation):
        return end_in_softmax(operation)[place]
    if type(operation).__name__ == "Softmax":  # the layer, or the operation of `keras.ops`
        return operation.axis in (-1, rank - 1)
    return getattr(operation, "activation", None) is keras.activations.softmax


def _at_each_step(operation, rank):
    """Returns what works on one time step, inside any `TimeDistributed`, and the rank of what it puts out."""
    while isinstance(operation, keras.layers.TimeDistributed):
        operation, rank = operation.layer, rank - 1
    return operation, rank


def _hands_on(operation):
    is_linear = isinstance(operation, keras.layers.Activation) and operation.activation is keras.activations.linear
    return is_linear or isinstance(operation, keras.layers.Identity)

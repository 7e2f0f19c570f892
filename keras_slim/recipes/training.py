"""Steps that may train: a `fit` with the callback that does the step's work, and all that must be held."""

import contextlib
import dataclasses
from collections.abc import Sequence

import keras

from keras_slim.callbacks.alone import Alone
from keras_slim.distillation import Distillation
from keras_slim.distillation.teaching import Teaching, check_teachable
from keras_slim.errors import invalid_argument
from keras_slim.progress_display import progress
from keras_slim.recipes.base import State, Step, check_names
from keras_slim.rewriting.per_layer import paths
from keras_slim.validation import check_count, check_positive

TEMPERATURE = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Step):
    """A step that may train the model.

    Args:
        epochs: Epochs of `fit`; 0 for none.
        batch_size: Samples in a batch, where data are arrays. Defaults to Keras's 32.
        learning_rate: Learning rate of these epochs. Defaults to that of the optimizer.
        distill: Whether the model learns from what it was before the recipe, too: `True`, or a dictionary with
            `temperature` (3 by default) and `student_loss_weight` (0.5 by default), as for
            `keras_slim.distillation.Distillation`.
    """

    epochs: int = 0
    batch_size: int | None = None
    learning_rate: float | None = None
    distill: bool | dict = False

    def __post_init__(self):
        owner = f"step `{self.alias}`"
        check_count(self.epochs, "epochs", owner, minimum=0)
        if self.batch_size is not None:
            check_count(self.batch_size, "batch_size", owner)
        if self.learning_rate is not None:
            check_positive(self.learning_rate, "learning_rate", owner)
        distillation = self.distillation
        if not self.epochs and (distillation or self.learning_rate is not None or self.batch_size is not None):
            expected, hint = "at least 1, since there are options of training", "Give `epochs`, or leave them out."
            raise ValueError(invalid_argument("epochs", owner, expected=expected, received=self.epochs, hint=hint))

    @property
    def num_epochs(self):
        return self.epochs

    @property
    def needs(self):
        return "targets" if self.epochs else "nothing"

    @property
    def distillation(self) -> Distillation | None:
        """How the model learns from what it was; `None` if it does not."""
        if isinstance(self.distill, bool):
            return Distillation() if self.distill else None
        owner = f"`distill` of step `{self.alias}`"
        if not isinstance(self.distill, dict):
            expected = "True, False, or a dictionary with 'temperature' and 'student_loss_weight'"
            raise TypeError(invalid_argument("distill", owner, expected=expected, received=self.distill))
        check_names(self.distill, ("temperature", "student_loss_weight"), owner, "an option")
        temperature = check_positive(self.distill.get("temperature", TEMPERATURE), "temperature", owner)
        loss = keras.distillation.LogitsDistillation(temperature=temperature, loss=keras.losses.KLDivergence())
        return Distillation(loss, self.distill.get("student_loss_weight", 0.5))

    def check(self, place):
        if self.epochs and not place.can_train:
            raise ValueError(
                f"Step `{self.alias}` trains, and model '{place.reference.name}' is not compiled. Expected a loss. "
                "Call `model.compile(...)` first, or write it into the recipe: `compile: {optimizer: adam, loss: mse}`."
            )
        if self.epochs and self.distillation:
            if any(output.shape[-1] == 1 for output in place.reference.outputs):
                raise ValueError(
                    f"Step `{self.alias}` cannot distil model '{place.reference.name}': `distill` compares shares of "
                    "classes, and there is an output of one unit, whose share is always 1. Expected two units or more. "
                    "Leave `distill` out."
                )
            check_teachable(place.reference, self.distillation, f"step `{self.alias}`")

    def fit(self, state: State, place, callback=None, teaches: bool = True) -> keras.Model:
        """Returns a copy of a model that is trained, and lets layers alone that the recipe leaves as they are.

        Args:
            state: The model, and what holds its weights.
            place: What there is to work with.
            callback: What does the work of the step. One that holds weights itself takes over from what held them.
            teaches: Whether distillation is to be done here.
        """
        model = place.copy(state.model)
        callbacks = [] if callback is None else [callback]
        if state.holding is not None and not isinstance(callback, Alone):
            callbacks.append(state.holding())
        if teaches and self.distillation:
            callbacks.append(_Teacher(place.copy(place.reference), self.distillation))
        with frozen(model, place.frozen):
            place.compile(model)
            if self.learning_rate is not None:
                _set_learning_rate(model.optimizer, self.learning_rate)
            with progress(f"`{self.alias}`", "epochs", place.verbose) as counted:
                shown = counted(range(self.epochs))
                next(shown)
                callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: next(shown, None)))
                model.fit(**place.fit_arguments(self.batch_size), epochs=self.epochs, verbose=0, callbacks=callbacks)
        return model


@contextlib.contextmanager
def frozen(model: keras.Model, names: Sequence[str]):
    """A context in which some layers are not trained, whatever stands in their place meanwhile.

    Args:
        model: A Functional or Sequential model.
        names: Paths of the layers.
    """
    layers = {path: layer for layer, path in paths(model).items() if path in names and layer.trainable}
    for layer in layers.values():
        layer.trainable = False
    try:
        yield
    finally:
        for layer, path in paths(model).items():
            if path in layers:
                layer.trainable = True


def _set_learning_rate(optimizer, rate):
    """Sets the learning rate of an optimizer; one with a schedule takes nothing but another schedule."""
    try:
        optimizer.learning_rate = rate
    except TypeError:
        optimizer.learning_rate = keras.optimizers.schedules.PiecewiseConstantDecay([0], [rate, rate])


class _Teacher(keras.callbacks.Callback):
    """Lets a model learn from another while it trains; the last of the callbacks, as others compile the step anew."""

    def __init__(self, teacher: keras.Model, distillation: Distillation):
        super().__init__()
        self._teacher, self._distillation = teacher, distillation
        self._teaching: Teaching | None = None

    def on_epoch_begin(self, epoch, logs=None):
        if self._teaching is None or not self._teaching.is_on:
            self._teaching = Teaching(self.model, self._teacher, self._distillation)
            self._teaching.begin()
            self.model.make_train_function(force=True)

    def on_train_end(self, logs=None):
        if self._teaching is not None:
            self._teaching.end()

"""The network as it was before the first cut, as the teacher of what is left of it."""

import contextlib
from collections.abc import Callable

import keras

from keras_slim.distillation import Distillation
from keras_slim.distillation.teaching import Teaching, check_teachable
from keras_slim.errors import invalid_argument
from keras_slim.pruning.subject import Subject


class DenseTeacher:
    """A copy of the network before the first cut, which teaches from then on; nobody, where that is not asked for.

    Args:
        distillation: How it teaches; `None` for not at all.
        back_up: Function that notes the values of its variables, a list of arrays, for a `fit` that is killed.
    """

    def __init__(self, distillation: Distillation | None, back_up: Callable):
        self._distillation = distillation
        self._back_up = back_up
        self._teaching: Teaching | None = None
        self._looking: Teaching | None = None

    @property
    def is_teaching(self) -> bool:
        return self._teaching is not None

    def check(self, subject: Subject, owner: str) -> None:
        """Raises what teaching would raise about a model, before it is trained."""
        if self._distillation:
            if subject.target is not subject.model:
                expected = f"`None`: the answers of model '{subject.model.name}' are not those of its part"
                raise ValueError(
                    invalid_argument("distillation", owner, expected=expected, received=self._distillation)
                )
            check_teachable(subject.model, self._distillation, owner, subject.twin)

    @contextlib.contextmanager
    def at_first_cut(self, subject):
        """Begins to teach a model that is about to be cut for the first time."""
        if self._distillation is None or self.is_teaching:
            yield
            return
        dense = subject.copy()
        self.take_up(subject.model, dense)
        self._teaching.begin()
        yield
        self._back_up([each.numpy() for each in dense.variables])

    def take_up(self, model, teacher):
        """Takes the network that taught in a `fit` that was killed, if one did; it goes on when training begins."""
        if teacher is not None:
            self._teaching = Teaching(model, teacher, self._distillation)

    def go_on(self, model: keras.Model) -> None:
        """Teaches in a `fit` that has just begun, if it taught in the one that was killed."""
        if self._teaching:
            self._teaching.begin()
            model.make_train_function(force=True)

    def look_on(self, model: keras.Model) -> None:
        """Sees to it, in one epoch before the first cut, that the step can be taught."""
        if self._distillation and not self._teaching and not self._looking:
            self._looking = Teaching(model, None, self._distillation)
            self._looking.begin()
            model.make_train_function(force=True)

    def look_away(self) -> None:
        """Has seen enough when the epoch ends."""
        if self._looking:
            self._looking.leave()

    def end(self) -> None:
        """Leaves the model as if nobody had taught it."""
        for each in (self._teaching, self._looking):
            if each:
                each.end()
        self._teaching = None

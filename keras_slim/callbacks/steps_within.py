"""Training steps that are taken while layers are set in another way, which nobody else sees."""

from contextlib import AbstractContextManager

import keras


class StepsWithin:
    """Stands in the place of the function that `fit` calls for each batch, and calls it in a context.

    After each call the model has no such function, so that whatever comes next makes its own: another callback, or a
    `fit` after one that was interrupted. Then the context is left, too.

    Args:
        model: The compiled model, in the middle of `fit`.
        context: The context, to be entered for each batch.
    """

    def __init__(self, model: keras.Model, context: AbstractContextManager):
        self._model = model
        self._context = context
        model.make_train_function(force=True)
        self._function, model.train_function = model.train_function, None

    def __call__(self, *args):
        try:
            with self._context:
                return self._function(*args)
        finally:
            self._model.train_function = None

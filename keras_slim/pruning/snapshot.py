"""Remembering a model as it is, to go back to it after cuts and training.

A cut exchanges the layers inside the user's model object for smaller ones (`adopt`). The old layers are not changed by
it: whoever kept them, and their values, can put them back. So a model grows again, to the very layers it had.
"""

import keras
import numpy as np

from keras_slim.optimizer_slots import clock_of, optimizers_of, with_inner
from keras_slim.pruning.adopt import (
    COMPILED,
    Inside,
    attributes_with,
    compile_anew,
    parts_of,
    restored_on_failure,
)
from keras_slim.pruning.views import all_layers, views_and_strangers


class Snapshot:
    """A model's structure and weights, and its optimizer's state.

    It holds the layers of that time, and a copy of the value of each variable.

    Args:
        model: A compiled model whose optimizer has made a step. It is not changed before `restore`.
        part: The model inside it that is cut, if it is not cut as a whole.

    Example:

    >>> x, y = keras.ops.ones((4, 2)), keras.ops.zeros((4, 1))
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> history = model.fit(x, y, verbose=0)
    >>> before, loss = Snapshot(model), model.evaluate(x, y, verbose=0)
    >>> history = model.fit(x, y, verbose=0)
    >>> before.restore()
    >>> model.evaluate(x, y, verbose=0) == loss
    True
    """

    def __init__(self, model: keras.Model, part: keras.Model | None = None):
        self._model, self._part = model, part or model
        views, _ = views_and_strangers(self._part)
        self._insides = [(each, Inside(each)) for each in (*parts_of(model, self._part), *views)]
        self._beside = attributes_with(model, {id(layer) for layer in all_layers(model)})
        self._beside |= {name: value for name, value in vars(model).items() if name == COMPILED}
        optimizers = optimizers_of(model)
        self._optimizers = [(each, dict(vars(each))) for outer in optimizers for each in with_inner(outer)]
        self._clock = [variable for each in optimizers for variable in clock_of(each)]
        of_time = {id(variable) for variable in self._clock}
        variables = [*model.variables, *(variable for each in optimizers for variable in each.variables)]
        variables = [each for each in variables if id(each) not in of_time]
        self._values = [(variable, variable.numpy().copy()) for variable in variables]

    @property
    def values(self) -> list[np.ndarray]:
        """The values that are put back, in the order of the variables."""
        return [value for _, value in self._values]

    @values.setter
    def values(self, values: list[np.ndarray]) -> None:
        # a file knows types such as bfloat16 by their size only
        pairs = zip(self._values, values, strict=True)
        self._values = [(variable, value.view(own.dtype)) for (variable, own), value in pairs]

    def restore(self) -> None:
        """Puts everything back into the model object, also in the middle of `fit`; if that fails, nothing is changed.

        The optimizer's count of steps and its learning rate stay what they are now: they follow the time that training
        has taken, as schedules and callbacks set them.
        """
        now = Snapshot(self._model, self._part)
        times = [variable.numpy().copy() for variable in now._clock]
        with restored_on_failure(*(each for each, _ in now._insides)):
            try:
                self._put_back(times)
                compile_anew(self._model)
            except BaseException:
                now._put_back(times)
                raise

    def _put_back(self, times):
        for each, inside in self._insides:
            inside.put_into(each)
        vars(self._model).update(self._beside)
        for optimizer, inside in self._optimizers:
            vars(optimizer).clear()
            vars(optimizer).update(inside)
        for variable, value in (*self._values, *zip(self._clock, times, strict=True)):
            variable.assign(value)

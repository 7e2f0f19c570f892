"""What rounding costs of the loss, while a model trains."""

import keras
import numpy as np

from keras_slim.errors import in_short, invalid_argument
from keras_slim.layers.quantized import rounding_only
from keras_slim.rewriting.calibration import rounding_layers
from keras_slim.scoring.data import as_batches, drawn, num_samples


class FloatLoss:
    """The loss of a model on some data, as it rounds now and if nothing were rounded.

    Args:
        model: A compiled model.
        data: Samples with targets, in any form that `fit` takes.
        steps: Batches of the data to look at; of a generator, they are drawn once. `None` for all.
        owner: Name of the callback, for error messages.

    Raises:
        TypeError: If the data is nothing that `fit` takes.
        ValueError: If the data does not fit, or the model has no loss on it.
    """

    def __init__(self, model: keras.Model, data, steps: int | None, owner: str):
        self._model = model
        self._batches = as_batches(drawn(data, steps, owner), model, owner=owner, targets=False, steps=steps)
        self._layers: list = []
        self._function = None
        first = next(self._batches(), None)
        try:
            model.test_on_batch(*(() if first is None else first))
        except Exception as error:
            expected = "samples with targets, as `evaluate` takes them"
            raise ValueError(invalid_argument("data", owner, expected=expected, received=in_short(error))) from error
        finally:
            model.reset_metrics()

    def now(self) -> float:
        """Returns the mean loss as the model rounds now."""
        losses, sizes = [], []
        for x, *others in self._batches():
            self._model.reset_metrics()  # Keras before 3.15 answers with the mean of all batches so far
            losses.append(self._model.test_on_batch(x, *others, return_dict=True)["loss"])
            sizes.append(num_samples(x))
        self._model.reset_metrics()
        return float(np.average(losses, weights=sizes))

    def unrounded(self) -> float:
        """Returns the mean loss if nothing were rounded. The function for it is compiled once for the same layers."""
        layers, model = rounding_layers(self._model), self._model
        if layers != self._layers:
            self._layers, self._function = layers, None
        model.test_function, self._function = self._function, model.test_function
        try:
            with rounding_only("nothing", layers):
                return self.now()
        finally:
            model.test_function, self._function = self._function, model.test_function

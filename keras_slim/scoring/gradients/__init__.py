"""Derivatives by activations and by pixels, on the backend that runs: the one place where scoring needs to know it.

Each `on_...` module has two functions of the same names.
"""

import importlib

import keras
import numpy as np
from keras import ops

from keras_slim.scoring.losses import loss_function


class StepWithGradients:
    """A compiled step from one batch to sums over what is made of activations and their gradients.

    Between calls it holds neither the model nor what it is called with. A model that is compiled with
    `run_eagerly=True` is run so here too, and on PyTorch every model.
    """

    def __init__(self):
        self._sums = None
        self._step = _backend().compiled(lambda *given: self._sums(*given))

    def __call__(self, model, forward, weights, sum_all, batch):
        """Returns what `sum_all` makes of a batch.

        Args:
            model: The compiled model, for its loss.
            forward: Function from a batch of inputs, and a function `change(tensor, value)` of what to go on with in
                place of an observed value, to the model's outputs and a dictionary of lists of observed activations.
            weights: Variables whose gradients are wanted too.
            sum_all: Function from the observed activations, the slopes of each sample's loss by them in the same
                structure, the slopes of the mean loss by the weights, and the number of samples, to nested tensors.
            batch: `(x, y, sample_weight)`. The other arguments only count when a batch of its kind is first seen.
        """
        loss_of = loss_function(model)

        def scaled_loss(change, scale, x, y, sample_weight):
            predicted, observed = forward(x, change)
            loss = loss_of(x, y, predicted, sample_weight)
            return loss * ops.cast(scale, loss.dtype), observed

        def finished(observed, slopes, scale, x):
            slopes, weight_slopes = keras.tree.map_structure(lambda slope: ops.cast(slope, "float32") / scale, slopes)
            # The loss is a mean over the batch: times its size, each sample has the slope of its own loss.
            size = ops.cast(ops.shape(keras.tree.flatten(x)[0])[0], "float32")
            return sum_all(observed, keras.tree.map_structure(lambda slope: slope * size, slopes), weight_slopes, size)

        # Scaled, so that small slopes do not vanish in float16; by less where large ones overflow.
        is_half = any("float16" in layer.compute_dtype for layer in model.layers)
        scale = 2.0**15 if is_half else 1.0
        self._sums = _backend().sums_of(model, scaled_loss, finished, weights)
        try:
            while True:
                values = self._step(model, scale, *batch)
                if scale <= 1 or all(
                    np.isfinite(ops.convert_to_numpy(value)).all() for value in keras.tree.flatten(values)
                ):
                    return values
                scale /= 2.0**5
        finally:
            self._sums = None


def step_of_descent(objective, variable, optimizer):
    """Returns the function that moves a variable one step down, and returns the objective before it.

    Args:
        objective: Function from the variable's value to a scalar tensor.
        variable: A `keras.Variable`.
        optimizer: A Keras optimizer.
    """
    optimizer.build([variable])
    return _backend().step_of_descent(objective, variable, optimizer)


def _backend():
    return importlib.import_module(f"{__name__}.on_{keras.backend.backend()}")

"""Training on with zeros that stay zero."""

import zlib

from keras_slim.callbacks.mask_callback import MaskCallback
from keras_slim.errors import invalid_argument
from keras_slim.sparsity.kernels import kernels
from keras_slim.sparsity.masks import Masks


class HoldMasks(MaskCallback):
    """Keeps the zeros of a model at zero while it trains.

    For fine-tuning a sparse model, or training a lottery ticket: the weights that the masks do not keep are zero before
    the first step and after every other, whatever the optimizer. The model is a plain Keras model afterwards.

    Args:
        masks: The `keras_slim.sparsity.Masks` to hold. Defaults to what is zero in the kernels of the model when `fit`
            begins.

    Raises:
        PlanMismatchError: In `fit`, before training starts, if the masks are for another model.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> masks = slim.sparsity.magnitude_masks(slim.sparsity.kernels(model), sparsity=0.5)
    >>> history = model.fit(x, y, verbose=0, callbacks=[slim.callbacks.HoldMasks(masks)])
    >>> float((model.layers[0].kernel.numpy() == 0).mean())
    0.5
    """

    def __init__(self, masks: Masks | None = None):
        super().__init__()
        if masks is not None and not isinstance(masks, Masks):
            expected = "`keras_slim.sparsity.Masks`, or None for the zeros of the model"
            raise TypeError(invalid_argument("masks", type(self).__name__, expected=expected, received=masks))
        self._given = masks

    def _choose(self):
        return kernels(self.model) if self._given is None else self._given.weights(self.model)

    def _asked(self):
        return "" if self._given is None else str([zlib.crc32(mask.tobytes()) for mask in self._given.values()])

    def _begin(self, epoch):
        self._hold(Masks.nonzero(self.model, self._weights) if self._given is None else self._given)

"""What the callbacks that prune single weights have in common."""

import numpy as np

from keras_slim.callbacks.holding_callback import HoldingCallback
from keras_slim.sparsity.holding import MaskHolder
from keras_slim.sparsity.kernels import kernels, shares_by_kernel
from keras_slim.sparsity.masks import Masks


class MaskCallback(HoldingCallback):
    """Holds masks while a model trains.

    A class that derives from it has `sparsity`, `ignore` and `skip_first_convolution`, or says by itself which weights
    (`_choose`), and sets other masks by `_hold` when `_begin` or `_change` is called.
    """

    _kind = Masks

    @property
    def masks(self) -> Masks | None:
        """The masks that are held now, or were when `fit` ended; `None` before it."""
        return self._held

    def _choose(self):
        """Returns the kernels that are held, by path: those that the callback's own arguments give a share of zeros."""
        owner = type(self).__name__
        self._shares = shares_by_kernel(self.model, self.sparsity, self.ignore, self.skip_first_convolution, owner)
        found = kernels(self.model)
        return {path: found[path] for path in self._shares}

    def _hold(self, masks: Masks) -> None:
        """Sets all weights to zero that the masks do not keep, and holds them there; frees those that they keep."""
        self._holder.hold(masks)
        super()._hold(masks)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._holder = MaskHolder(self.model, self._weights)
        self._held = Masks.ones(self._weights)

    def _known(self, epoch):
        return {"sparsity": self._held.sparsity}

    def _coded(self):
        return {id(self._weights[path]): (np.count_nonzero(mask), mask.size) for path, mask in self._held.items()}

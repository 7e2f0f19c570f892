"""What the callbacks that prune single weights have in common."""

import keras
import numpy as np

from keras_slim.callbacks import random_states
from keras_slim.callbacks.backup import Backup
from keras_slim.sparsity.holding import Holder
from keras_slim.sparsity.kernels import kernels
from keras_slim.sparsity.masks import Masks


class MaskCallback(keras.callbacks.Callback):
    """Holds masks while a model trains, and knows them again when a `fit` that was killed is taken up.

    A class that derives from it says which weights (`choose`), and sets other masks by `hold` when `begin` or `change`
    is called. What else it must know when `fit` is taken up, it puts into `state` and reads in `take_up`.
    """

    def __init__(self):
        super().__init__()
        self._holder = None
        self._masks = None

    @property
    def masks(self) -> Masks | None:
        """The masks that are held now, or were when `fit` ended; `None` before it."""
        return self._masks

    def choose(self) -> dict[str, keras.Variable]:
        """Returns the kernels that are held, by path."""
        raise NotImplementedError

    def begin(self, epoch: int) -> None:
        """Called before the first epoch of a `fit` that is not taken up."""

    def change(self, epoch: int) -> None:
        """Called before each epoch."""

    def state(self) -> dict:
        """Returns what must be known when `fit` is taken up, beside the masks: a dictionary of arrays."""
        return {}

    def take_up(self, state: dict) -> None:
        """Takes what `state` has returned, in a `fit` that was killed."""

    def hold(self, masks: Masks) -> None:
        """Sets all weights to zero that the masks do not keep, and holds them there; frees those that they keep."""
        self._holder.hold(masks)
        self._masks = masks

    def on_train_begin(self, logs=None):
        self._weights = self.choose()
        self._holder = Holder(self.model, self._weights)
        self._masks = self._holder.masks
        self._first_epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        try:
            if self._first_epoch is None:  # by now, all callbacks have begun, and weights are restored
                self._start(epoch)
            self._check_unchanged()
            self.change(epoch)
            self._back_up(epoch + 1)
        except BaseException:
            self._holder.release()
            raise

    def on_epoch_end(self, epoch, logs=None):
        self._back_up(epoch + 1)
        if logs is not None:
            logs["sparsity"] = self._masks.sparsity

    def on_train_end(self, logs=None):
        self._holder.release()
        self._holder = None

    def _start(self, epoch):
        self._backup = Backup(self)
        state = self._backup.read(epoch)
        if state is None:
            self._first_epoch = epoch
            self.begin(epoch)
        else:
            self._first_epoch = int(state["first_epoch"])
            random_states.put_back(self.model, state)
            self.hold(Masks.from_arrays(state))
            self.take_up(state)

    def _back_up(self, epoch):
        if self._backup.is_needed:
            state = {**self.state(), **self._masks.to_arrays(), **random_states.to_arrays(self.model)}
            self._backup.write(epoch, {**state, "first_epoch": np.array(self._first_epoch)})

    def _check_unchanged(self):
        now = kernels(self.model)
        if any(now.get(path) is not weight for path, weight in self._weights.items()):
            raise RuntimeError(
                f"`{type(self).__name__}` holds weights that are no longer those of model '{self.model.name}'. "
                "Expected the layers to stay the same in one `fit`. Received layers that another callback has "
                "exchanged, as `ProgressiveGlobalPruning` does. Use the two in one `fit` after the other."
            )

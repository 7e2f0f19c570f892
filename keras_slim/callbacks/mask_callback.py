"""What the callbacks that prune single weights have in common."""

import contextlib
import json

import keras
import numpy as np

from keras_slim.callbacks import random_states
from keras_slim.callbacks.backup import Backup
from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.sparsity.holding import Holder
from keras_slim.sparsity.kernels import kernels, shares_by_kernel
from keras_slim.sparsity.masks import Masks


class MaskCallback(keras.callbacks.Callback):
    """Holds masks while a model trains, and knows them again when a `fit` that was killed is taken up.

    A class that derives from it has `sparsity`, `ignore` and `skip_first_convolution`, or says by itself which weights
    (`choose`), and sets other masks by `hold` when `begin` or `change` is called. What else it must know when `fit` is
    taken up, it puts into `state` and reads in `take_up`.
    """

    def __init__(self):
        super().__init__()
        self._holder = None
        self._masks = None
        self._beside = []

    def get_config(self) -> dict:
        """Returns the arguments as plain values, where the class has some."""
        return {}

    @property
    def masks(self) -> Masks | None:
        """The masks that are held now, or were when `fit` ended; `None` before it."""
        return self._masks

    def choose(self) -> dict[str, keras.Variable]:
        """Returns the kernels that are held, by path: those that the callback's own arguments give a share of zeros."""
        owner = type(self).__name__
        self._shares = shares_by_kernel(self.model, self.sparsity, self.ignore, self.skip_first_convolution, owner)
        found = kernels(self.model)
        return {path: found[path] for path in self._shares}

    def begin(self, epoch: int) -> None:
        """Called before the first epoch of a `fit` that is not taken up."""

    def change(self, epoch: int) -> None:
        """Called before each epoch."""

    def asked(self) -> str:
        """Returns what must be the same when a `fit` that was killed is taken up: the arguments, as text."""
        try:
            return json.dumps(self.get_config())
        except ValueError:  # a schedule that cannot be written down
            return ""

    def state(self) -> dict:
        """Returns what must be known when `fit` is taken up, beside the masks: a dictionary of arrays."""
        return {}

    def take_up(self, state: dict) -> None:
        """Takes what `state` has returned, in a `fit` that was killed."""

    def hold(self, masks: Masks) -> None:
        """Sets all weights to zero that the masks do not keep, and holds them there; frees those that they keep."""
        self._holder.hold(masks)
        if masks != self._masks:
            forget_best(self._beside)
        self._masks = masks

    @contextlib.contextmanager
    def released_on_failure(self):
        """Lets no weight be held after an error."""
        try:
            yield
        except BaseException:
            self._holder.release()
            raise

    def on_train_begin(self, logs=None):
        self._beside = beside(self)
        self._check_alone()
        self._backup = Backup(self)
        self._backup.check_by_epoch()
        # Known now or never: where no epoch is left, the folder may be gone when `fit` ends.
        self._last_state = self._backup.read(self.params["epochs"]) if self._backup.is_needed else None
        self._weights = self.choose()
        self._holder = Holder(self.model, self._weights)
        self._masks = self._holder.masks
        self._first_epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        with self.released_on_failure():
            if self._first_epoch is None:  # by now, all callbacks have begun, and weights are restored
                self._start(epoch)
            self._check_unchanged()
            self.change(epoch)
            self._back_up(epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        with self.released_on_failure():
            self._back_up(epoch + 1)
        if logs is not None:
            logs["sparsity"] = self._masks.sparsity

    def on_train_end(self, logs=None):
        if self._first_epoch is None and self._last_state:  # killed between its last epoch and its end
            self._resume(self._last_state)
        self._holder.release()
        self._holder = None

    def _start(self, epoch):
        state = self._backup.read(epoch)
        if state is None:
            self._backup.warn_if_unknown()
            self._first_epoch = epoch
            self.begin(epoch)
        else:
            self._resume(state)

    def _resume(self, state):
        """Goes on where a `fit` was killed."""
        if str(state["asked"]) != self.asked():
            raise RuntimeError(
                f"`{type(self).__name__}` cannot go on with a `fit` that was killed. Expected the arguments it had "
                f"then: {state['asked']}. Received: {self.asked()}. Give it the same, or begin with an empty folder of "
                "`BackupAndRestore`."
            )
        self._first_epoch = int(state["first_epoch"])
        random_states.put_back(self.model, state)
        self.hold(self._renamed(Masks.from_arrays(state)))
        self.take_up(state)

    def _renamed(self, masks):
        """Returns masks by the paths of now: layers without a name of their own get another in the same process."""
        shapes = [mask.shape for mask in masks.values()], [tuple(weight.shape) for weight in self._weights.values()]
        if shapes[0] != shapes[1]:
            raise RuntimeError(
                f"`{type(self).__name__}` cannot go on with a `fit` that was killed: the model is another one. "
                f"Expected kernels of the shapes {shapes[0]}. Received: {shapes[1]}. Begin with an empty folder of "
                "`BackupAndRestore`."
            )
        return Masks(dict(zip(self._weights, masks.values(), strict=True)))

    def _back_up(self, epoch):
        if self._backup.is_needed:
            state = {**self.state(), **self._masks.to_arrays(), **random_states.to_arrays(self.model)}
            known = {"first_epoch": np.array(self._first_epoch), "asked": np.array(self.asked())}
            self._backup.write(epoch, {**state, **known})

    def _check_alone(self):
        others = [each for each in self._beside if isinstance(each, MaskCallback) and each is not self]
        if others:
            names = ", ".join(type(each).__name__ for each in [self, *others])
            raise ValueError(
                f"Callbacks that hold zeros cannot share a `fit`. Expected one of them. Received: {names}. Use one "
                "after the other."
            )

    def _check_unchanged(self):
        now = kernels(self.model)
        if any(now.get(path) is not weight for path, weight in self._weights.items()):
            raise RuntimeError(
                f"`{type(self).__name__}` holds weights that are no longer those of model '{self.model.name}'. "
                "Expected the layers to stay the same in one `fit`. Received layers that another callback has "
                "exchanged, as `ProgressiveGlobalPruning` does. Use the two in one `fit` after the other."
            )

"""What the callbacks that hold single weights have in common."""

import contextlib
import json
from typing import Any, Self

import keras
import numpy as np

from keras_slim.callbacks import random_states
from keras_slim.callbacks.alone import Alone
from keras_slim.callbacks.backup import Backup
from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.sparsity.holding import release


class HoldingCallback(Alone):
    """Holds weights while a model trains, and knows to what when a `fit` that was killed is taken up.

    A class that derives from it says which weights (`_choose`), and holds them to something (`_hold`) when `_begin` or
    `_change` is called: arrays by the path of each weight, of the class `_kind`. What else it must know when `fit` is
    taken up, it puts into `_state` and reads in `_take_up`.
    """

    _kind: Any

    def __init__(self):
        super().__init__()
        self._holder: Any = None
        self._held: Any = None
        self._beside = []

    def get_config(self) -> dict:
        """Returns the arguments as plain values; masks are not among them."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Self:
        """Returns a callback made with the arguments of `get_config`."""
        return cls(**config)

    def _choose(self) -> dict[str, keras.Variable]:
        """Returns the weights that are held, by path."""
        raise NotImplementedError

    def _begin(self, epoch: int) -> None:
        """Called before the first epoch of a `fit` that is not taken up."""

    def _change(self, epoch: int) -> None:
        """Called before each epoch."""

    def _asked(self) -> str:
        """Returns what must be the same when a `fit` that was killed is taken up: the arguments, as text."""
        try:
            return json.dumps(self.get_config())
        except ValueError:  # a schedule that cannot be written down
            return ""

    def _state(self) -> dict:
        """Returns what must be known when `fit` is taken up, beside what is held: a dictionary of arrays."""
        return {}

    def _take_up(self, state: dict) -> None:
        """Takes what `_state` has returned, in a `fit` that was killed."""

    def _hold(self, held) -> None:
        """Holds the weights to something else from now on."""
        if held != self._held:
            forget_best(self._beside)
        self._held = held

    @contextlib.contextmanager
    def _released_on_failure(self):
        """Lets no weight be held after an error."""
        try:
            yield
        except BaseException:
            self._release()
            raise

    def on_train_begin(self, logs=None):
        self._beside = beside(self)
        self._check_alone()
        self._backup = Backup(self)
        self._backup.check_by_epoch()
        self._backup.check_alike()
        # Known now or never: where no epoch is left, the folder may be gone when `fit` ends.
        self._last_state = self._backup.read(self.params["epochs"]) if self._backup.is_needed else None
        self._weights = self._choose()
        self._held = None
        self._first_epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        with self._released_on_failure():
            if self._first_epoch is None:  # by now, all callbacks have begun, and weights are restored
                self._start(epoch)
            self._check_unchanged()
            self._change(epoch)
            self._back_up(epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        with self._released_on_failure():
            self._back_up(epoch + 1)

    def on_train_end(self, logs=None):
        if self._first_epoch is None and self._last_state:  # killed between its last epoch and its end
            self._resume(self._last_state)
        self._release()

    def _release(self):
        if self._holder is None:
            release(self.model)
        else:
            self._holder.release()
        self._holder = None

    def _start(self, epoch):
        state = self._backup.read(epoch)
        if state is None:
            self._backup.warn_if_unknown()
            self._first_epoch = epoch
            self._begin(epoch)
        else:
            self._resume(state)

    def _resume(self, state):
        """Goes on where a `fit` was killed."""
        if str(state["asked"]) != self._asked():
            raise RuntimeError(
                f"`{type(self).__name__}` cannot go on with a `fit` that was killed. Expected the arguments it had "
                f"then: {state['asked']}. Received: {self._asked()}. Give it the same, or begin with an empty folder "
                "of `BackupAndRestore`."
            )
        self._first_epoch = int(state["first_epoch"])
        random_states.put_back(self.model, state)
        if "kernels" in state:
            self._hold(self._renamed(self._kind.from_arrays(state)))
        self._take_up(state)

    def _renamed(self, held):
        """Returns the same by the paths of now: layers without a name of their own get another in the same process."""
        shapes = [each.shape for each in held.values()], [tuple(weight.shape) for weight in self._weights.values()]
        if shapes[0] != shapes[1]:
            raise RuntimeError(
                f"`{type(self).__name__}` cannot go on with a `fit` that was killed: the model is another one. "
                f"Expected kernels of the shapes {shapes[0]}. Received: {shapes[1]}. Begin with an empty folder of "
                "`BackupAndRestore`."
            )
        return self._kind(dict(zip(self._weights, held.values(), strict=True)))

    def _back_up(self, epoch):
        if self._backup.is_needed:
            held = {} if self._held is None else self._held.to_arrays()
            known = {"first_epoch": np.array(self._first_epoch), "asked": np.array(self._asked())}
            self._backup.write(epoch, {**self._state(), **held, **random_states.to_arrays(self.model), **known})

    def _check_unchanged(self):
        now = {id(weight) for weight in self.model.weights}
        if any(id(weight) not in now for weight in self._weights.values()):
            raise RuntimeError(
                f"`{type(self).__name__}` holds weights that are no longer those of model '{self.model.name}'. "
                "Expected the layers to stay the same in one `fit`. Received layers that another callback has "
                "exchanged. Use the two in one `fit` after the other."
            )

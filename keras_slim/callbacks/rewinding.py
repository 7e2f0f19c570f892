"""Training several times within one `fit`, each time from the same early moment.

What the two callbacks that look for lottery tickets share. Nothing here prunes: `Rewinding` knows with which epochs a
stretch of training begins, notes the moment that is gone back to, and what was measured in each stretch.
"""

import json

import keras
import numpy as np

from keras_slim.callbacks.moment import Moment, state_of
from keras_slim.callbacks.saying import warn
from keras_slim.errors import invalid_argument


class Rewinding:
    """The stretches of a `fit`, equally long, and the moment from which each of them starts.

    A step is a batch, whatever optimizers make of it.

    Args:
        rounds: How often training goes back.
        rewind_to: Steps of the first stretch after which the moment is; 0 is before the first.
        owner: Name of the callback, for error messages.

    Attributes:
        moment: The `Moment`; `None` before it has come.
        done: One dictionary for each stretch that has begun: `round` (0 for the first), `epoch`, what was given to
            `open`, `history` (the values of each metric, by epoch) and, after the first epoch, `logs`, the last values.
    """

    def __init__(self, rounds: int, rewind_to: int, owner: str):
        self.moment: Moment | None = None
        self.done: list[dict] = []
        self._steps: int | None = None
        self._longest = 0
        self._rounds = rounds
        self._rewind_to = rewind_to
        self._owner = owner

    def begin(self, model: keras.Model, first: int, params: dict) -> None:
        """Divides the epochs of a `fit` that begins with epoch `first`, and notes the moment if it is now.

        Raises:
            ValueError: If the epochs cannot be divided, or the moment lies behind the first stretch.
            RuntimeError: If an optimizer of the model's own is not built.
        """
        self._divide(first, params)
        state_of(model)  # raises here what is wrong with it
        if self._steps is not None and self._rewind_to > self._steps * self._length:
            raise self._too_late()
        if not self._rewind_to:
            self.moment = Moment.of(model)

    def watch(self, model: keras.Model, epoch: int, batch: int) -> bool:
        """Notes the moment if it has come, and tells whether it has; called after each batch of an epoch."""
        made = batch + 1 if self._steps is None else min(batch + 1, self._steps)  # the last execution may be cut short
        self._longest = max(self._longest, made)
        has_come = self.moment is None and (epoch - self._first) * self._longest + made >= self._rewind_to
        if has_come:
            self.moment = Moment.of(model)
        return has_come

    def beginning_with(self, epoch: int) -> int | None:
        """Returns the number of the stretch that begins with an epoch, or `None` if none does.

        Raises:
            ValueError: If training should go back now, and the moment has not come yet.
        """
        number, passed = divmod(epoch - self._first, self._length)
        if passed:
            return None
        if number and self.moment is None:
            raise self._too_late()
        return number

    def open(self, number: int, epoch: int, **measured) -> None:
        """Begins the account of a stretch."""
        self.done.append({"round": number, "epoch": epoch, **measured, "history": {}})

    def record(self, logs: dict) -> None:
        """Takes what was measured in an epoch."""
        now = self.done[-1]
        now["logs"] = {name: keras.ops.convert_to_numpy(value).tolist() for name, value in logs.items()}
        for name, value in now["logs"].items():
            now["history"].setdefault(name, []).append(value)

    def warn_if_unfinished(self) -> None:
        """Warns if training has ended before the last round."""
        rounds = max(len(self.done) - 1, 0)
        if rounds < self._rounds:
            warn(
                f"Training ended after {rounds} of {self._rounds} rounds of `{self._owner}`. A callback that stops "
                "training, such as `EarlyStopping`, stops all of it, not one stretch."
            )

    def state(self) -> dict:
        """Returns what must be known when `fit` is taken up: a dictionary of arrays."""
        arrays = {} if self.moment is None else self.moment.to_arrays()
        return {**arrays, "longest": np.array(self._longest), "done": np.array(json.dumps(self.done))}

    def take_up(self, model: keras.Model, first: int, params: dict, state: dict) -> None:
        """Takes what `state` has returned, in a `fit` that was killed."""
        self._divide(first, params)
        self._longest = int(state["longest"])
        self.done[:] = json.loads(str(state["done"]))
        self.moment = Moment.from_arrays(state, model)

    def describe(self) -> str:
        """Returns in words where training goes back to."""
        return f"step {self._rewind_to}" if self._rewind_to else "the initial weights"

    def _divide(self, first, params):
        epochs, stretches = params["epochs"] - first, self._rounds + 1
        if epochs % stretches:
            fitting = -(-epochs // stretches) * stretches
            expected = f"a number of rounds of which `rounds + 1` divides the {epochs} epochs of `fit`"
            hint = f"Train for {fitting} epochs, {fitting // stretches} in each of {stretches} stretches."
            raise ValueError(
                invalid_argument("rounds", self._owner, expected=expected, received=self._rounds, hint=hint)
            )
        self._first, self._length = first, epochs // stretches
        self._steps = params.get("steps")  # in an epoch, where that is known before the first has ended
        self._longest = self._steps or 0

    def _too_late(self):
        steps = self._longest * self._length
        expected = f"at most the batches in the first of {self._rounds + 1} stretches of training, {steps}"
        hint = "Train for more epochs, or go back to an earlier step."
        return ValueError(
            invalid_argument("rewind_to", self._owner, expected=expected, received=self._rewind_to, hint=hint)
        )

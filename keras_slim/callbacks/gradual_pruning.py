"""Setting single weights to zero, more and more of them, while a model trains."""

import math

import numpy as np

from keras_slim.callbacks.arguments import (
    check_ignore,
    check_initial_sparsity,
    check_not_given,
    check_sparsity,
    check_window,
)
from keras_slim.callbacks.mask_callback import MaskCallback
from keras_slim.callbacks.saying import say, warn
from keras_slim.callbacks.timetable import StepSchedule, Timetable, is_step_schedule
from keras_slim.plain_values import plain
from keras_slim.schedules import schedules
from keras_slim.sparsity.magnitude import SCOPES, magnitude_masks
from keras_slim.sparsity.patterns import patterns
from keras_slim.validation import check_choice, check_count

ENDLESS = 2**40  # steps of an epoch of which nobody knows yet how many it has


class GradualPruning(MaskCallback):
    """Sets more and more of the smallest weights to zero while a model trains.

    Every `frequency` steps, the weights are ranked by magnitude and the smallest are set to zero, `s` of them in all:

    `s = initial_sparsity + (sparsity - initial_sparsity) * schedule(progress)`

    where progress goes from 0 at the begin of the window to 1 at its end. In between and afterwards zeros are held
    after every step, whatever the optimizer; what is zero stays zero. When the window ends, the sparsity is what
    was asked for, to the weight or the block; the rest of `fit` is fine-tuning. Whenever masks change, `EarlyStopping`,
    `ReduceLROnPlateau` and `ModelCheckpoint(save_best_only=True)` forget their best value: they judge the sparse
    network by its own epochs. The model is a plain Keras model throughout; its file becomes smaller when it is
    compressed.

    The logs of each epoch hold `sparsity`, the share of zeros in the kernels that are pruned.

    Args:
        sparsity: Share of zeros of each kernel in the end; or a dictionary of layer names to shares, which leaves all
            other layers dense. Defaults to 0.9, or to what the pattern demands.
        schedule: How fast it goes: `"cubic"`, `"linear"`, `"cosine"`, `"constant"`, `"polynomial"`, a
            `keras_slim.schedules.Schedule`, or a function of progress. A `PruningSchedule` of TensorFlow Model
            Optimization is taken as it is: sparsity and steps come from it, counted from the first step of `fit`.
        scope: `"layer"` prunes each kernel alike, `"global"` ranks the weights of all kernels together.
        initial_sparsity: Share of zeros at the begin of the window. Defaults to 0.
        window: Begin and end of the part of `fit` in which sparsity rises, as shares of its epochs. Defaults to
            `(0.0, 0.75)`.
        frequency: Steps from one ranking to the next. Defaults to 100. Where the number of steps in an epoch is not
            known, weights are ranked between epochs until it is.
        pattern: Which weights go together: `"single"`, `"block"`, `"n_of_m"`, or a `keras_slim.sparsity.Pattern`.
        ignore: Names of layers to leave dense.
        skip_first_convolution: Whether the first convolution is left dense, unless `sparsity` names it.
        verbose: 0 says nothing, 1 says one line when the last sparsity is reached.

    Attributes:
        masks: The `keras_slim.sparsity.Masks` that are held now, or were when `fit` ended; `None` before it.

    Raises:
        ValueError: If an argument is out of range; in `fit`, before training starts, if a name is not found.
        UnsupportedLayerError: In `fit`, before training starts, if there is nothing to prune.

    Reference:
        Zhu and Gupta 2017, "To prune, or not to prune: exploring the efficacy of pruning for model compression" (arXiv
        1710.01878), equation 1.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(25, "relu"), keras.layers.Dense(4)])
    >>> model.compile("adam", "mse")
    >>> pruning = slim.callbacks.GradualPruning(0.8, "linear", window=(0.0, 0.5), frequency=2, verbose=0)
    >>> history = model.fit(x, y, epochs=4, verbose=0, callbacks=[pruning])
    >>> np.round(history.history["sparsity"], 3).tolist()
    [0.4, 0.8, 0.8, 0.8]
    """

    def __init__(
        self,
        sparsity: float | dict[str, float] | None = None,
        schedule="cubic",
        scope: str = "layer",
        *,
        initial_sparsity: float | None = None,
        window: tuple[float, float] | None = None,
        frequency: int | None = None,
        pattern="single",
        ignore=(),
        skip_first_convolution: bool = False,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self._step_schedule = None
        if is_step_schedule(schedule):
            given = {"sparsity": sparsity, "initial_sparsity": initial_sparsity, "window": window}
            check_not_given({**given, "frequency": frequency}, schedule, owner)
            self._step_schedule = StepSchedule(schedule)
            sparsity, frequency = self._step_schedule.final, int(schedule.frequency)
        self.schedule = schedule if self._step_schedule else schedules.get(schedule, "schedule", owner)
        self.scope = check_choice(scope, "scope", owner, SCOPES)
        self.pattern = patterns.get(pattern, "pattern", owner)
        self.sparsity = check_sparsity(sparsity, self.pattern, self.scope, owner)
        self.initial_sparsity = check_initial_sparsity(
            0.0 if initial_sparsity is None else initial_sparsity, self.sparsity, owner
        )
        self.window = check_window((0.0, 0.75) if window is None else window, owner)
        self.frequency = check_count(100 if frequency is None else frequency, "frequency", owner)
        self.ignore = check_ignore(ignore, owner)
        self.skip_first_convolution = skip_first_convolution
        self.verbose = verbose

    def on_train_begin(self, logs=None):
        self._step = -1  # the last one at which was seen what is due
        self._steps_seen = 0  # in the epoch before
        self._is_reached = False
        super().on_train_begin(logs)

    def _change(self, epoch):
        self._epoch = epoch
        self._timetable = self._step_schedule or self._new_timetable()
        self._epoch_start = max(self._step, 0)
        if self._steps:
            self._epoch_start = (epoch - self._first_epoch) * self._steps
        elif not self._step_schedule:
            self._step = -1  # only now is it known how long the epoch before was: all is due again
        self._go_on(self._epoch_start)

    def on_train_batch_end(self, batch, logs=None):
        done = min(batch + 1, self._steps or ENDLESS)  # Keras counts several steps in one call as if none were missing
        with self._released_on_failure():
            self._go_on(self._epoch_start + done)
            if done == self._steps:
                self._back_up(self._epoch + 1)  # `BackupAndRestore` may come before this callback when the epoch ends

    def on_epoch_end(self, epoch, logs=None):
        self._steps_seen = self._step - self._epoch_start
        super().on_epoch_end(epoch, logs)

    def _known(self, epoch):
        if epoch + 1 == self.params["epochs"] and not self._step_schedule and not self._is_reached:
            with self._released_on_failure():
                self._prune(1.0)  # fewer steps than expected
            self._is_reached = True
        return super()._known(epoch)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._first_epoch is not None and not self._is_reached:
            warn(
                f"Training ended before `{type(self).__name__}` had come to its end. Expected a sparsity of "
                f"{self.sparsity}. Received a `fit` that ended at {self.masks.sparsity:.3f} of the kernels that are "
                "pruned. Train for longer, or let pruning end earlier."
            )

    def _state(self):
        numbers = {"step": self._step, "steps_seen": self._steps_seen, "is_reached": self._is_reached}
        return {name: np.array(value) for name, value in numbers.items()}

    def _take_up(self, state):
        self._step, self._steps_seen = int(state["step"]), int(state["steps_seen"])
        self._is_reached = bool(state["is_reached"])

    def get_config(self) -> dict:
        """Returns the arguments as plain values.

        Raises:
            ValueError: If the schedule is one of TensorFlow Model Optimization, or a function.
        """
        if self._step_schedule:
            raise ValueError(
                f"`{type(self).__name__}` cannot be written down: its schedule is a {type(self.schedule).__name__}, "
                "which only the package it comes from can make again. Expected a schedule of `keras_slim.schedules`. "
                "Write down `schedule.get_config()` yourself, or give `sparsity`, `window` and schedule='cubic'."
            )
        return plain(
            {
                "sparsity": self.sparsity,
                "schedule": schedules.serialize(self.schedule),
                "scope": self.scope,
                "initial_sparsity": self.initial_sparsity,
                "window": self.window,
                "frequency": self.frequency,
                "pattern": patterns.serialize(self.pattern),
                "ignore": self.ignore,
                "skip_first_convolution": self.skip_first_convolution,
                "verbose": self.verbose,
            }
        )

    @property
    def _steps(self):
        """Steps of an epoch, `None` if Keras does not know."""
        return self.params["steps"]

    def _new_timetable(self):
        steps = self._steps or self._steps_seen or ENDLESS
        epochs = self.params["epochs"] - self._first_epoch
        return Timetable(self.schedule, self.window, self.frequency, epochs * steps)

    def _go_on(self, step):
        """Does what has become due up to a step."""
        way = self._timetable.due(self._step, step)
        self._step = step
        if way is not None:
            self._prune(way)
        if not self._is_reached and self._timetable.is_over(step):
            self._is_reached = True
            if way is not None:
                self._announce()

    def _prune(self, way):
        """Makes masks anew, within those of now."""
        _ = self.model  # within an epoch, Keras's JAX trainer gives the variables their values when this is read
        self._hold(magnitude_masks(self._weights, self._sparsities(way), self.scope, self.pattern, within=self.masks))

    def _sparsities(self, way):
        """Returns the share of zeros of each kernel when a share of the way is behind."""
        if self._step_schedule:
            return dict.fromkeys(self._shares, self.sparsity if math.isclose(way, self.sparsity, rel_tol=1e-6) else way)
        return {path: way * share + (1 - way) * self.initial_sparsity for path, share in self._shares.items()}

    def _announce(self):
        found = f"{self.masks.size - self.masks.kept:,} of {self.masks.size:,} weights are zero from here on"
        say(self.verbose, f"Epoch {self._epoch + 1}: sparsity {self.masks.sparsity:.3f} is reached, {found}")

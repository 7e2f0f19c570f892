"""Deciding, epoch by epoch, when to cut further, when to go back, and when to stop looking.

Nothing here touches a model: `Search` is told the value of a metric at the end of each epoch, and says what to do when
the next begins. It answers what `keras_slim.callbacks.rounds.Rounds` answers.
"""

import math
from dataclasses import asdict, replace

from keras_slim.callbacks.moves import Move
from keras_slim.callbacks.saying import warn
from keras_slim.errors import invalid_argument
from keras_slim.pruning.costs import Cost, target_cost
from keras_slim.pruning.prune import check_reached
from keras_slim.pruning.trajectory import Trajectory, TrajectoryPoint
from keras_slim.scoring.direction import infer_mode

STATE = (
    "mode", "floor", "value", "is_measured", "held", "is_trying", "_ratios", "_waited", "_tried", "_was_measured",
    "_has_warned",
)  # fmt: skip


class Search:
    """A search for the smallest network that holds a metric.

    After a cut the metric has some epochs to come back; as soon as it has, the next cut is made. Where it does not come
    back, the last network that held it does, and a smaller share is tried from there, unless it rounds to a structure
    that has failed from there. When no share is left, or the network cannot become smaller, the search is over.
    After an epoch that has not measured the metric nothing is decided.

    Args:
        monitor: Name of the metric in the logs.
        max_drop: How much worse than the dense network the metric may be.
        mode: `"min"`, `"max"`, or `"auto"` to infer it as Keras does.
        patience: Epochs that the metric has to come back after a cut.
        ratios: Shares of what is left that a cut removes, one after the other.
        ratio: Share to remove in all, at which the search ends; `None` for none.
        guards: The `Guards`.
        structure: Number of units of each layer before the first cut.
        owner: Name of the callback, for messages.

    Attributes:
        value: Value of the metric when it was measured last.
        is_measured: Whether the last epoch measured it.
        floor: The worst value that holds; `None` before the first cut.
        held: Whether the network is known to have held it in the last epoch.
        is_trying: Whether a cut has been made on which no judgement has been passed yet.
        ratio: Share that the next cut removes; `None` when the search is over.
        kept: What `keep` was given last.
    """

    rounds = None

    def __init__(self, monitor, max_drop, mode, patience, ratios, ratio, guards, structure, owner):
        self.monitor = monitor
        self.mode = mode
        self.floor = None
        self.value = math.nan
        self.is_measured = False
        self.held = False
        self.is_trying = False
        self.kept = None
        self._points = []
        self._tried = []
        self._values = {}
        self._max_drop = max_drop
        self._patience = patience
        self._ratios = list(ratios)
        self._total = ratio
        self._guards = guards
        self._structure = structure
        self._waited = 0
        self._was_measured = False
        self._has_warned = False
        self._owner = owner

    @property
    def ratio(self):
        return self._ratios[0] if self._ratios else None

    @property
    def trajectory(self):
        """The networks that were tried and judged; `None` before the first cut."""
        judged = tuple(point for point in self._points if point.epoch is not None)
        return Trajectory(self.monitor, self.floor, judged) if judged else None

    def fewest(self, sizes):
        """Returns the fewest units that layers may come down to in all, given their sizes before the first cut."""
        return self._guards.fewest(sizes)

    def check_reachable(self, progress, deepest):
        """Raises `UnreachableTargetError` if the deepest cut there is, a `Cost`, falls short of what is asked."""
        argument, ratio = ("ratio", self._total) if self._total else ("ratio_per_round", self._ratios[-1])
        check_reached(self._owner, progress.of, ratio, progress.original, deepest, self._guards, argument)

    def moves(self, epoch, progress):
        """Yields what to do when an epoch begins, one after the other: each is done before the next is asked for."""
        first, last = progress.epochs
        if epoch < first or not self.is_measured or not self._has_floor(epoch - 1, progress.cost):
            return
        if self.held:
            yield Move.KEEP
        elif self.is_trying and self._waited >= self._patience:
            yield Move.GO_BACK
            self._try_less()
        if not self.ratio or self.is_trying or epoch > last:
            return
        if progress.left > self._least(progress):
            yield Move.CUT
        else:
            self.finish()

    def last_moves(self, progress):
        """Yields what to do when training ends: what it leaves holds the metric."""
        if self.floor is None:
            warn("Training ended before the search for a smaller network began: nothing was cut.")
        elif not self.held:
            yield Move.GO_BACK
        self.kept = None

    def name_of(self, number):
        """Returns what a cut is called."""
        return f"{number}"

    def targets(self, progress):
        """Yields what the next cut comes down to; whoever asks again is given a smaller step."""
        while self.ratio:
            yield max(self._least(progress), target_cost(progress.left, self.ratio))
            self._try_less()

    def judge(self, epoch, logs, progress, model):
        """Takes the metric of an epoch that has ended, if that has measured it, and notes it with the last round.

        Args:
            epoch: The epoch.
            logs: What it has measured.
            progress: The `Progress`. One epoch before the first of its epochs must have measured the metric.
            model: The model.

        Raises:
            ValueError: If none has, or none can, or the direction of the metric cannot be inferred.
        """
        self.is_measured = self.monitor in logs
        if not self.is_measured:
            self.held = False
            if not self._was_measured:
                self._wait(list(logs), epochs_left=progress.epochs[0] - epoch - 1)
            return
        self._was_measured = True
        if self.mode == "auto":
            self.mode = infer_mode(self.monitor, model, self._owner)
        self._values[epoch] = self.value = float(logs[self.monitor])
        self.held = self.floor is not None and self._is_good(self.value)
        if self.is_trying:
            self._waited += 1
            self._points[-1] = replace(self._points[-1], epoch=epoch, metric=self.value, held=self.held)
            progress.rounds_done[-1] |= {"metric": self.value, "held": self.held}

    def _wait(self, measured, epochs_left):
        """Raises `ValueError` for a metric that cannot come, or not in time; else warns, once."""
        may_come = self.monitor.startswith("val_") and not any(name.startswith("val_") for name in measured)
        if not may_come or epochs_left <= 0:
            expected = f"the name of what is measured, one of {measured}"
            hint = "Metrics are given to `compile`; those of validation need `validation_data` in `fit`."
            if may_come:
                hint += " With `validation_freq` above 1, let `window` begin after the first epoch that is validated."
            raise ValueError(
                invalid_argument("monitor", self._owner, expected=expected, received=self.monitor, hint=hint)
            )
        if not self._has_warned:
            self._has_warned = True
            warn(
                f"`{self._owner}` waits for {self.monitor!r}, which has not been measured yet, for {epochs_left} more "
                "epochs. Expected `validation_data` in `fit`; with `validation_freq` above 1 this is as it should be."
            )

    def _has_floor(self, epoch, cost):
        """Takes the last value for that of the dense network, if that is not known; tells whether it is now."""
        if self.floor is None and math.isfinite(self.value):
            drop = self._max_drop if self.mode == "max" else -self._max_drop
            self.floor, self.held = self.value - drop, True
            self._points.append(TrajectoryPoint(epoch, self.value, True, cost, self._structure))
        return self.floor is not None

    def is_outdone(self, epoch):
        """Tells whether the weights of an epoch must not come back: those of now hold the metric, and they did not."""
        return self.held and not self._is_good(self._values.get(epoch, math.nan))

    def keep(self, network):
        """Takes what is needed to bring back the network that has just held the metric."""
        self.kept, self.is_trying, self._tried = network, False, []

    def has_tried(self, structure):
        """Tells whether a cut of the last network that held the metric has led to a structure already."""
        return structure in self._tried

    def after_cut(self, progress, structure):
        """Takes what a cut has led to, which the next epochs judge."""
        self.is_trying, self.held, self._waited = True, False, 0
        self._tried.append(structure)
        self._points.append(TrajectoryPoint(None, math.nan, False, progress.cost, structure))

    def describe(self):
        """Returns in words why the network of the last epoch cannot stay."""
        if not self.is_measured:
            return f"{self.monitor} was not measured in the last epoch"
        return f"{self.monitor} {self.value:.4g} does not hold {self.floor:.4g}"

    def state(self):
        """Returns, as plain values, what must be known to go on searching, beside `kept`."""
        return {**{name: getattr(self, name) for name in STATE}, "points": [asdict(point) for point in self._points]}

    def take_up(self, state, kept):
        """Takes what `state` returned, and what was in `kept`."""
        self.kept = kept
        for name in STATE:
            setattr(self, name, state[name])
        self._points = [TrajectoryPoint(**{**point, "cost": Cost(**point["cost"])}) for point in state["points"]]

    def finish(self):
        """Called where nothing is left to be cut; tells whether that is the end: the search is over."""
        self._ratios = []
        return True

    def _try_less(self):
        """Goes on to the next share: the last network that held the metric is back."""
        self.is_trying, self._ratios = False, self._ratios[1:]

    def _least(self, progress):
        """Returns the cost below which nothing is cut."""
        return target_cost(progress.total, self._total) if self._total else 0

    def _is_good(self, value):
        better = value - self.floor if self.mode == "max" else self.floor - value
        return round(better, 6) >= 0  # metrics are float32: 0.91 - 0.01 is no more than 0.9

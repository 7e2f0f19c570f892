"""Removing units, a few at a time, while training goes on."""

import dataclasses
import numbers
import time
import warnings
from contextlib import nullcontext

import keras
import numpy as np

from keras_slim.callbacks.companions import forget_best
from keras_slim.errors import SlimWarning, invalid_argument
from keras_slim.graph.analysis import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.calibration import Calibration, calibrated, calibration_inputs, check_calibration
from keras_slim.pruning.costs import UNITS_OF_COST, CostModel, describe_change, target_cost
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.prune import check_guards, check_reached, make_plan
from keras_slim.pruning.selection import protect, select
from keras_slim.pruning.surgery import rebuild
from keras_slim.scoring import check_data, criteria, debiasers, unit_scores
from keras_slim.scoring.data import drawn
from keras_slim.validation import check_choice, check_count, check_share


class ProgressiveGlobalPruning(keras.callbacks.Callback):
    """Prunes the model that is being trained, in rounds, until a share of it is gone.

    Before some epochs the units of the whole network are scored, de-biased and ranked, the lowest are removed, and
    the same `fit` goes on with a model that is really smaller: the user's own model object, its optimizer's state cut
    like its weights. After round `r` of `R`, the share `(1 - ratio)^(r / R)` is left (Molchanov et al. 2016, arXiv
    1611.06440; Wang 2017).

    A cut is made when an epoch begins, so that all that other callbacks saw of the epoch before belongs together.
    `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint(save_best_only=True)` then forget their best value: they
    judge the smaller network by its own epochs.

    Args:
        ratio: Share to remove in all, between 0 and 1.
        of: What the ratio is a share of: `"units"`, `"params"` or `"macs"` (multiply-accumulates of one sample).
        criterion: How much a unit contributes, as in `plan_pruning`. Defaults to `"taylor"`.
        debias: How scores of layers become comparable, as in `plan_pruning`. Defaults to `"l2"`.
        rounds: Number of cuts.
        data: What scores that need data look at: arrays `(x, y)`, a dataset, a `PyDataset` or a generator; some
            hundreds of samples will do.
        steps: Number of batches of `data` to look at in each round. Defaults to all; a generator needs it.
        window: Begin and end of the part of `fit` in which the cuts are made, as shares of its epochs. What follows
            is fine-tuning. Defaults to `(0.25, 0.75)`.
        guards: What a cut may not do. Defaults to `keras_slim.pruning.Guards()`.
        ignore: Names of layers to leave whole.
        calibration: How each cut is made up for with `data`: a `keras_slim.pruning.Calibration`, or `None` for
            `Calibration()`. Defaults to `False`, not at all, since the epochs that follow train the network anyway.
        verbose: 0 says nothing, 1 says one line per round.

    Attributes:
        rounds_done: One dictionary per round: `epoch` (as in `history.epoch`), `units`, `params`, `macs` after it,
            `seconds`, and `plan`, the `PruningPlan`.

    Raises:
        ValueError: If an argument is out of range; in `fit`, if data is missing or the rounds do not fit its epochs.
        UnreachableTargetError: In `fit`, before training starts, if the guards make the ratio unreachable.
        UnsupportedLayerError: In `fit`, before training starts, if the model is subclassed.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> pruning = slim.callbacks.ProgressiveGlobalPruning(ratio=0.5, rounds=2, data=(x, y), verbose=0)
    >>> history = model.fit(x, y, epochs=4, verbose=0, callbacks=[pruning])
    >>> model.layers[0].units
    16
    """

    def __init__(
        self,
        ratio: float,
        of: str = "units",
        criterion="taylor",
        debias="l2",
        rounds: int = 5,
        data=None,
        *,
        steps: int | None = None,
        window: tuple[float, float] = (0.25, 0.75),
        guards: Guards | None = None,
        ignore=(),
        calibration: Calibration | bool | None = False,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.ratio = check_share(ratio, "ratio", owner)
        self.of = check_choice(of, "of", owner, UNITS_OF_COST)
        self.criterion = criteria.get(criterion, "criterion", owner)
        self.debias = debiasers.get(debias, "debias", owner)
        self.rounds = check_count(rounds, "rounds", owner)
        self.data = data
        self.steps = None if steps is None else check_count(steps, "steps", owner)
        self.window = _check_window(window, owner)
        self.guards = check_guards(guards, owner)
        self.ignore = _check_ignore(ignore, owner)
        self.calibration = check_calibration(calibration, owner)
        self.verbose = verbose
        self.rounds_done = []

    def on_train_begin(self, logs=None):
        self.rounds_done = []
        graph = analyse(self.model, self.ignore)
        costs = CostModel(graph)
        self._original_groups = {group.name: group.size for group in graph.groups}
        self._original_sizes = {name: len(units) for name, units in graph.layers.items()}
        self._original_cost = self._cost = costs.cost(np.ones(graph.num_units, bool))
        self._epochs = None
        owner = type(self).__name__
        check_data(graph, self.criterion, self.data, debias=self.debias, steps=self.steps, owner=owner)
        self._rehearse(graph, self._check_reachable(graph, costs))

    def on_epoch_begin(self, epoch, logs=None):
        if self._epochs is None:  # only now is it known with which epoch `fit` begins
            self._epochs = _cutting_epochs(self.rounds, self.window, epoch, self.params["epochs"])
        for number in range(1, self.rounds + 1):
            if self._epochs[number - 1] == epoch:
                self._cut(number, epoch)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update({name: float(value) for name, value in self._cost.to_dict().items() if value is not None})

    def on_train_end(self, logs=None):
        done = len(self.rounds_done)
        if done < self.rounds:
            self._warn(f"Training ended after {done} of {self.rounds} rounds of pruning: the ratio was not reached.")

    def get_config(self) -> dict:
        """Returns the arguments as plain values; `data` is not among them."""
        return {
            "ratio": self.ratio,
            "of": self.of,
            "criterion": criteria.serialize(self.criterion),
            "debias": debiasers.serialize(self.debias),
            "rounds": self.rounds,
            "steps": self.steps,
            "window": self.window,
            "guards": dataclasses.asdict(self.guards),
            "ignore": self.ignore,
            "calibration": dataclasses.asdict(self.calibration),
            "verbose": self.verbose,
        }

    @classmethod
    def from_config(cls, config: dict) -> "ProgressiveGlobalPruning":
        """Returns a callback made with the arguments of `get_config`; set its `data` afterwards."""
        made = {"guards": Guards(**config["guards"]), "calibration": Calibration(**config["calibration"])}
        return cls(**{**config, **made})

    def _check_reachable(self, graph, costs):
        """Returns the deepest cut that all rounds allow, or raises `UnreachableTargetError` if it is too small."""
        sizes = np.array(list(self._original_sizes.values()), int)
        per_rounds = np.ceil(sizes * (1 - self.guards.max_ratio_per_round) ** self.rounds).astype(int)
        fewest = np.minimum(sizes, np.maximum(self.guards.fewest(sizes), per_rounds))
        scores = np.zeros(graph.num_units)
        protected = protect(scores, graph, fewest)
        deepest = select(scores, graph.group_of(), protected, self._align(graph), costs.measure(self.of), target=-1)
        name = type(self).__name__
        check_reached(name, self.of, self.ratio, self._original_cost, costs.cost(deepest), self.guards)
        return deepest

    def _rehearse(self, graph, keep):
        """Raises what a cut would raise about layers or an optimizer that cannot be made anew, before training."""
        with _scope(self.model):
            _, transfers = rebuild(graph, keep)
            OptimizerCut(self.model.optimizer, transfers)

    def _cut(self, number, epoch):
        """Makes one cut; if anything in it fails, the model is as it was."""
        start = time.perf_counter()
        graph = analyse(self.model, self.ignore)
        costs = CostModel(graph)
        owner = type(self).__name__
        data = drawn(self.data, self.steps)
        scores = unit_scores(graph, self.criterion, self.debias, data, steps=self.steps, owner=owner)
        sizes = {name: len(units) for name, units in graph.layers.items()}
        original = [self._original_sizes.get(name, size) for name, size in sizes.items()]
        fewest = self.guards.fewest(list(sizes.values()), original)
        protected = protect(scores, graph, fewest)
        share = 1 - (1 - self.ratio) ** (number / self.rounds)
        target = target_cost(getattr(self._original_cost, self.of), share)
        keep = select(scores, graph.group_of(), protected, self._align(graph), costs.measure(self.of), target)
        before, self._cost = self._cost, costs.cost(keep)
        if not keep.all():
            with _scope(self.model):
                adopt(self.model, *self._smaller(graph, keep, data))
            forget_best(self.model, self.params)
        self.model.reset_metrics()  # the loss was computed for scores
        settings = {"ratio": self.ratio, "of": self.of, "round": number, "rounds": self.rounds}
        plan = make_plan(graph, keep, before, self._cost, settings)
        seconds = time.perf_counter() - start
        self.rounds_done.append({"epoch": epoch, **self._cost.to_dict(), "seconds": seconds, "plan": plan})
        self._say(number, before, seconds)
        if number == self.rounds and getattr(self._cost, self.of) > target:
            reached = 1 - getattr(self._cost, self.of) / getattr(self._original_cost, self.of)
            self._warn(
                f"The last round of pruning reached {reached:.3f} of the {self.of} instead of {self.ratio}: the guards "
                f"allow no more. Give more rounds, or loosen the guards: {self.guards}."
            )

    def _smaller(self, graph, keep, data):
        """Returns the smaller model, calibrated if there is data, and how its variables came from the old ones."""
        how, batches = self.calibration, None
        if data is not None and (how.compensate or how.recalibrate):
            batches = calibration_inputs(data, self.model, self.steps, type(self).__name__, how.samples)
        return calibrated(rebuild, graph, keep, batches, how)

    def _align(self, graph):
        """Returns the rounding of the guards, by the sizes that groups had before the first round."""
        return self.guards.aligner([self._original_groups.get(group.name, group.size) for group in graph.groups])

    def _say(self, number, before, seconds):
        if self.verbose:
            changes = describe_change(before, self._cost)
            print(f"\nPruning round {number}/{self.rounds}: {changes} ({seconds:.1f} s)")

    def _warn(self, message):
        warnings.warn(message, SlimWarning, stacklevel=2)


def _check_window(window, owner):
    """Returns the window as a tuple, or raises `ValueError`."""
    expected = "two shares of the epochs, 0 <= begin <= end < 1"
    is_pair = isinstance(window, tuple | list) and len(window) == 2
    if not is_pair or not all(isinstance(end, numbers.Real) for end in window) or not 0 <= window[0] <= window[1] < 1:
        raise ValueError(invalid_argument("window", owner, expected=expected, received=window))
    return tuple(window)


def _check_ignore(ignore, owner):
    """Returns the names as a tuple, or raises `TypeError` for a string, whose letters are no names."""
    if isinstance(ignore, str):
        hint = f"For one layer, give [{ignore!r}]."
        raise TypeError(invalid_argument("ignore", owner, expected="a list of names", received=ignore, hint=hint))
    return tuple(ignore)


def _cutting_epochs(rounds, window, first, end):
    """Returns the epochs at whose beginning the cuts are made, ascending integers.

    Args:
        rounds: Number of cuts.
        window: Begin and end of the part of `fit` in which they are made, as shares of its epochs.
        first: Number of the first epoch of `fit`.
        end: Number of its last epoch, plus one.

    Example:

    >>> _cutting_epochs(5, (0.25, 0.75), 0, 12)
    [3, 4, 6, 8, 9]
    """
    epochs = end - first
    places = np.linspace(*(min(share * epochs, epochs - 1) for share in window), rounds)
    chosen = [first + round(place) for place in places.tolist()]
    if len(set(chosen)) < rounds:
        raise ValueError(
            invalid_argument(
                "rounds",
                "ProgressiveGlobalPruning",
                expected=f"at most one round per epoch in the window {window} of the {epochs} epochs of `fit`",
                received=rounds,
                hint="Train for more epochs, widen `window`, or give fewer rounds.",
            )
        )
    return chosen


def _scope(model):
    """Returns the context in which variables of the model must be created."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else nullcontext()

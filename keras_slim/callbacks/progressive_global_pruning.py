"""Removing units, a few at a time, while training goes on."""

import dataclasses
import time

import numpy as np

from keras_slim.callbacks.arguments import (
    check_distillation,
    check_ignore,
    check_part,
    check_ratio,
    check_search,
    check_window,
)
from keras_slim.callbacks.companions import warn_of_averages
from keras_slim.callbacks.cutter import Cutter
from keras_slim.callbacks.cutting_callback import CuttingCallback
from keras_slim.callbacks.progress import Progress
from keras_slim.callbacks.rounds import Rounds
from keras_slim.callbacks.saying import say
from keras_slim.callbacks.search import Search
from keras_slim.distillation import Distillation
from keras_slim.plain_values import plain
from keras_slim.pruning.budget import Budget
from keras_slim.pruning.calibration import Calibration, check_calibration
from keras_slim.pruning.costs import describe_change
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.measures import measures
from keras_slim.pruning.prune import check_guards, make_plan
from keras_slim.pruning.trajectory import Trajectory
from keras_slim.scoring import criteria, debiasers
from keras_slim.validation import check_choice, check_count


class ProgressiveGlobalPruning(CuttingCallback):
    """Prunes the model that is being trained, until a share is gone or a metric falls.

    Before some epochs the units of the whole network are scored, de-biased and ranked, the lowest are removed, and
    the same `fit` goes on with a model that is really smaller: the user's own model object, its optimizer's state cut
    like its weights. After round `r` of `R`, the share `(1 - ratio)^(r / R)` is left (Molchanov et al. 2016, arXiv
    1611.06440; Wang 2017).

    A cut is made when an epoch begins, so that all that other callbacks saw of the epoch before belongs together.
    `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint(save_best_only=True)` then forget their best value: they
    judge the smaller network by its own epochs.

    With `max_drop` it searches for the smallest network that is good enough: it cuts again as soon as the metric is
    back within `max_drop` of what the dense network had in the last epoch before the first cut. Where the metric does
    not come back within `patience` epochs, the last network that held it is put back into the same model object,
    structure, weights and optimizer's slots, and a smaller cut is tried. When nothing more is to be tried, training
    goes on. What `fit` leaves holds the metric: if the last epoch's network does not, the last one that did is put
    back. Only the learning rate and the count of steps are never put back. With `validation_freq` above 1 it decides
    after the epochs that are validated, and counts no others as those the metric has to come back.

    A subclassed model stays the object it is, with other layers in its attributes. A functional model in which layers
    hold layers becomes a plain one, each of these a model of its name.

    Other models on the same layers, such as views of the model, follow it if they have no optimizer and no weights of
    their own. Frozen layers are cut like all others, unless they are named in `ignore`.

    With Keras's `BackupAndRestore` beside it, in any order, a `fit` that was killed goes on when the script that was
    killed is started again: with a model made anew and the same arguments. It ends as it would have ended, if data come
    in the same order: Keras shuffles them anew, and a generator begins at its beginning. Other callbacks begin anew.

    Args:
        ratio: Share to remove in all, between 0 and 1. Optional in a search, which then ends when it is reached.
        of: What the ratio is a share of, as in `plan_pruning`: `"units"`, `"params"`, `"macs"`, `"bytes"`, `"latency"`
            or a `keras_slim.pruning.Measure`. For bytes and latency each round exports the model several times.
        criterion: How much a unit contributes, as in `plan_pruning`. Defaults to `"taylor"`.
        debias: How scores of layers become comparable, as in `plan_pruning`. Defaults to `"l2"`.
        rounds: Number of cuts, if this is no search.
        data: What scores that need data look at: arrays `(x, y)`, a dataset, a `PyDataset` or a generator; some
            hundreds of samples will do.
        max_drop: How much worse than the dense network's the monitored value may be: 0.01 is a point of accuracy.
            Makes it a search. Defaults to none.
        monitor: In a search, the metric to hold, as it is called in the logs of each epoch. Take one of validation, on
            data that no result is reported on.
        mode: `"max"` or `"min"`, the better direction of the metric. Defaults to `"auto"`, as Keras infers it.
        patience: Epochs that the metric has to come back after a cut of a search.
        ratio_per_round: Share of what is left that a cut of a search removes; or several in falling order, the next of
            which is tried from the last network that held the metric when the one before was too much. One that rounds
            to the very structure that was too much is passed over.
        steps: Number of batches of `data` to look at in each round. Defaults to all; a generator needs it.
        window: Begin and end of the part of `fit` in which the cuts are made, as shares of its epochs. What follows
            is fine-tuning. Defaults to `(0.25, 0.75)`. A search begins after one epoch at the earliest.
        guards: What a cut may not do. Defaults to `keras_slim.pruning.Guards()`.
        ignore: Names of layers to leave whole, or of models inside the model.
        part: Name of an attribute, or of a layer, that is a model: the only one that is cut. Where the calls of the
            whole can be read and it is among them, its units are scored by the loss of the whole, on `data` for that;
            else by itself, on `data` for the part: such as `"generator"` of a model with a `train_step` alone.
        calibration: How each cut is made up for with `data`, if that is given. Defaults to
            `keras_slim.pruning.Calibration()`; `True` is that, `False` is none.
        distillation: How the pruned network learns from the dense one, of which a copy is kept at the first cut: a
            `keras_slim.distillation.Distillation`. It takes the time of another forward pass. Defaults to not at all.
        verbose: 0 says nothing, 1 says one line per round, and how far scores are where they take long.

    Attributes:
        rounds_done: One dictionary per round: `epoch` (as in `history.epoch`), `units`, `params`, `macs` after it,
            `seconds`, and `plan`, the `PruningPlan`; in a search, `metric` and whether it `held`.
        trajectory: In a search, the networks that were tried, a `keras_slim.pruning.Trajectory`; else `None`.

    Raises:
        ValueError: If an argument is out of range; in `fit`, if data is missing or the rounds do not fit its epochs,
            and in a search, if the metric has not been measured before the first epoch in which it may cut.
        RuntimeError: In `fit`, before training starts, if it cannot go on where `BackupAndRestore` does.
        UnreachableTargetError: In `fit`, before training starts, if the guards make the ratio unreachable.
        UnsupportedLayerError: In `fit`, before training starts, if the code of a subclassed model cannot be read, or
            does not follow when its layers become smaller; if the config of another does not hold its layers; or if it
            has a `compute_loss` that does not know training from validation and is to be distilled. In the first
            step, if it is to be distilled and its `train_step` calls `compute_loss` without `x`.

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
        ratio: float | None = None,
        of="units",
        criterion="taylor",
        debias="l2",
        rounds: int = 5,
        data=None,
        *,
        max_drop: float | None = None,
        monitor: str = "val_accuracy",
        mode: str = "auto",
        patience: int = 3,
        ratio_per_round: float | tuple[float, ...] = (0.2, 0.1, 0.05),
        steps: int | None = None,
        window: tuple[float, float] = (0.25, 0.75),
        guards: Guards | None = None,
        ignore=(),
        part: str | None = None,
        calibration: Calibration | bool | None = None,
        distillation: Distillation | None = None,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.ratio = check_ratio(ratio, max_drop, owner)
        self.of = measures.get(of, "of", owner)
        self.criterion = criteria.get(criterion, "criterion", owner)
        self.debias = debiasers.get(debias, "debias", owner)
        self.rounds = check_count(rounds, "rounds", owner)
        self.data = data
        checked = check_search(max_drop, monitor, patience, ratio_per_round, owner)
        self.max_drop, self.patience, self.ratio_per_round = checked
        self.monitor = monitor
        self.mode = check_choice(mode, "mode", owner, ("auto", "min", "max"))
        self.steps = None if steps is None else check_count(steps, "steps", owner)
        self.window = check_window(window, owner)
        self.guards = check_guards(guards, owner)
        self.ignore = check_ignore(ignore, owner)
        self.part = check_part(part, owner)
        self.calibration = check_calibration(calibration, owner)
        self.distillation = check_distillation(distillation, owner)
        self.verbose = verbose
        self._begin_anew()

    @property
    def rounds_done(self) -> list[dict]:
        return self._progress.rounds_done

    @property
    def trajectory(self) -> Trajectory | None:
        return self._course and self._course.trajectory

    def get_config(self) -> dict:
        """Returns the arguments as plain values; `data` is not among them."""
        return plain(
            {
                "ratio": self.ratio,
                "of": measures.serialize(self.of),
                "criterion": criteria.serialize(self.criterion),
                "debias": debiasers.serialize(self.debias),
                "rounds": self.rounds,
                "max_drop": self.max_drop,
                "monitor": self.monitor,
                "mode": self.mode,
                "patience": self.patience,
                "ratio_per_round": self.ratio_per_round,
                "steps": self.steps,
                "window": self.window,
                "guards": dataclasses.asdict(self.guards),
                "ignore": self.ignore,
                "part": self.part,
                "calibration": dataclasses.asdict(self.calibration),
                "distillation": self.distillation and self.distillation.get_config(),
                "verbose": self.verbose,
            }
        )

    @classmethod
    def from_config(cls, config: dict) -> "ProgressiveGlobalPruning":
        """Returns a callback made with the arguments of `get_config`; set its `data` afterwards."""
        made = {"guards": Guards(**config["guards"]), "calibration": Calibration(**config["calibration"])}
        taught = config["distillation"] and Distillation.from_config(config["distillation"])
        return cls(**{**config, **made, "distillation": taught})

    def _asked(self) -> dict:
        asked = {name: getattr(self, name) for name in ("ratio", "rounds", "max_drop", "monitor", "part")}
        return {**asked, "of": self.of.alias, "distillation": self.distillation is not None}

    def _prepare(self):
        self._cutter = Cutter(self, self.calibration)
        graph = self._cutter.look()
        self._cutter.check(graph)
        self._budget = Budget(self.of, graph)
        self._progress = Progress(self._budget.original, self._budget.original, of=self._budget.of)
        self._course = self._new_course()
        if self.max_drop is not None:
            warn_of_averages(self)
        deepest, cost = self._cutter.deepest(graph, self._course.fewest, self._budget)
        self._course.check_reachable(self._progress, cost)
        self._cutter.rehearse(graph, deepest)

    def _cut(self, epoch):
        """Removes the units that contribute least; if that fails, the model is as it was."""
        start = time.perf_counter()
        ranking = self._cutter.rank()
        keep, cost = self._chosen(ranking)
        if keep.all() and self._course.finish():
            return
        if not keep.all():
            self._cutter.replace(ranking, keep, self._teacher.at_first_cut)
        before, number = self._progress.cost, len(self.rounds_done) + 1
        settings = {name: getattr(self, name) for name in ("ratio", "rounds", "max_drop")}
        plan = make_plan(ranking.graph, keep, before, cost, {"of": self._budget.of, "round": number, **settings})
        seconds = time.perf_counter() - start
        self._progress.add({"epoch": epoch, **cost.to_dict(), "seconds": seconds, "plan": plan}, cost)
        changes = describe_change(before, cost) if cost != before else "nothing, the rounds before went far enough"
        say(self.verbose, f"Pruning round {self._course.name_of(number)}: {changes} ({seconds:.1f} s)")
        self._course.after_cut(self._progress, ranking.structure(keep))

    def _new_course(self):
        """Returns what says when to cut, and how far."""
        owner = type(self).__name__
        if self.max_drop is None:
            return Rounds(self.ratio, self.rounds, self.guards, owner)
        asked = self.monitor, self.max_drop, self.mode, self.patience, self.ratio_per_round, self.ratio
        return Search(*asked, self.guards, self._cutter.structure, owner)

    def _chosen(self, ranking):
        """Returns which units stay and what they cost: all of them, where every target has been tried already."""
        for target in self._course.targets(self._progress):
            keep, cost = ranking.down_to(target, self._budget, self._progress.cost)
            if not self._course.has_tried(ranking.structure(keep)):
                return keep, cost
        return np.ones(ranking.graph.num_units, bool), self._progress.cost

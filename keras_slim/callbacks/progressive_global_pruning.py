"""Removing units, a few at a time, while training goes on."""

import dataclasses
import time
import warnings

import numpy as np

from keras_slim.callbacks.arguments import check_distillation, check_ignore, check_ratio, check_search, check_window
from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.callbacks.cutting_callback import CuttingCallback
from keras_slim.callbacks.epochs import cutting_epochs
from keras_slim.callbacks.garbage import Garbage
from keras_slim.callbacks.in_place import check_in_place
from keras_slim.callbacks.progress import Kept, Progress
from keras_slim.callbacks.resuming import KEPT, TEACHER, Record, dense_twin, packed
from keras_slim.callbacks.search import Search
from keras_slim.distillation import Distillation
from keras_slim.distillation.teaching import Teaching, check_teachable
from keras_slim.distribution import scope_of
from keras_slim.errors import SlimWarning
from keras_slim.graph.analysis import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.budget import Budget
from keras_slim.pruning.calibration import Calibration, calibrated, calibration_inputs, check_calibration
from keras_slim.pruning.costs import describe_change, target_cost
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.last_look import check_rebuilt
from keras_slim.pruning.measures import measures
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.prune import check_guards, check_reached, make_plan, warn_if_rounded
from keras_slim.pruning.selection import protect
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import rebuild
from keras_slim.pruning.trajectory import Trajectory
from keras_slim.scoring import check_data, criteria, debiasers, unit_scores
from keras_slim.scoring.data import drawn, first_inputs
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
        UnsupportedLayerError: In `fit`, before training starts, if the model is subclassed, has a config that does not
            hold its layers, or has a `compute_loss` that does not know training from validation and is to be distilled.

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
        self.calibration = check_calibration(calibration, owner)
        self.distillation = check_distillation(distillation, owner)
        self.verbose = verbose
        self._progress = Progress()
        self._search: Search | None = None
        self._teaching: Teaching | None = None

    @property
    def rounds_done(self) -> list[dict]:
        return self._progress.rounds_done

    @property
    def trajectory(self) -> Trajectory | None:
        return self._search.trajectory if self._search else None

    def begin(self):
        self._stop_teaching()  # of a `fit` that was interrupted
        self._progress = Progress()
        self._search = None if self.max_drop is None else self._new_search()
        if self.distillation:
            check_teachable(self.model, self.distillation, type(self).__name__)
        owner = type(self).__name__
        graph = analyse(self.model, self.ignore, owner, batch=lambda: first_inputs(self.data, self.model, owner=owner))
        check_in_place(graph, owner)
        check_data(graph, self.criterion, self.data, debias=self.debias, steps=self.steps, owner=owner)
        batches = self._calibration_inputs(self.data)
        if batches is not None and not hasattr(self.data, "__next__"):
            next(batches())  # raises here what is wrong with the data
        self._budget = Budget(self.of, graph)
        self._original_groups = {group.name: group.size for group in graph.groups}
        self._original_sizes = {name: len(units) for name, units in graph.layers.items()}
        self._progress = Progress(self._budget.original, self._budget.original)
        self._rehearse(graph, self._check_reachable(graph))

    def asked(self) -> dict:
        asked = {name: getattr(self, name) for name in ("ratio", "rounds", "max_drop", "monitor")}
        return {**asked, "of": self.of.alias, "distillation": self.distillation is not None}

    def record(self) -> Record:
        return Record.of(self.model, self.asked(), self._progress, self._search, self._teaching is not None)

    def take_up(self, record, teacher, kept) -> None:
        self._progress = Progress.from_dict(record.progress)
        self._budget.original = self._progress.original
        if self._search:
            self._search.take_up(record.search, kept)
        if teacher:
            self._teaching = Teaching(self.model, teacher, self.distillation)
        if self.verbose:
            print(f"\nPruning: goes on after round {len(self.rounds_done)} with {self._progress.cost.describe()}")

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self._teaching:  # of a `fit` that was killed
            self._teaching.begin()
            self.model.make_train_function(force=True)

    def on_epoch_begin(self, epoch, logs=None):
        try:
            self._begin_epoch(epoch)
        except BaseException:
            self._stop_teaching()  # nobody else will: `fit` ends here
            raise

    def _begin_epoch(self, epoch):
        if self._progress.epochs is None:  # only now is it known with which epoch `fit` begins
            rounds = self.rounds if self._search is None else None
            self._progress.epochs = cutting_epochs(rounds, self.window, epoch, self.params["epochs"])
            self.back_up(epoch)
        path, garbage = list(self._progress.path), Garbage(self.model)
        if self._search:
            self._go_on_searching(epoch)
        elif epoch in self._progress.epochs[len(self.rounds_done) :]:
            self._make_round(epoch, self._progress.epochs.index(epoch) + 1)
        if self._progress.path != path:
            garbage.free()
        self.back_up(epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            cost = self._progress.cost.to_dict()
            logs.update({name: float(value) for name, value in cost.items() if value is not None})
        if self._search:
            self._search.judge(epoch, logs or {}, self.model, self._progress.epochs[0])
            if self._search.is_trying and self._search.is_measured:
                self.rounds_done[-1] |= {"metric": self._search.value, "held": self._search.held}
        self.back_up(epoch + 1)

    def on_train_end(self, logs=None):
        self._stop_teaching()
        if self._search is None:
            done = len(self.rounds_done)
            if done < self.rounds:
                self._warn(
                    f"Training ended after {done} of {self.rounds} rounds of pruning: the ratio was not reached."
                )
        elif self._search.floor is None:
            self._warn("Training ended before the search for a smaller network began: nothing was cut.")
        else:
            if not self._search.held:
                self._go_back()
            self._search.kept = None

    def _new_search(self):
        owner = type(self).__name__
        return Search(self.monitor, self.max_drop, self.mode, self.patience, self.ratio_per_round, owner)

    def _make_round(self, epoch, number):
        """Makes one of a number of cuts that was given."""
        target = self._budget.target(1 - (1 - self.ratio) ** (number / self.rounds))
        before = self._amount
        self._cut(epoch, [target], f"{number}/{self.rounds}")
        if self._amount < before:
            total = self._progress.original.amount(self._budget.of)
            warn_if_rounded(type(self).__name__, self._budget.of, self.ratio, total, self._amount, self.guards)
        if number == self.rounds:
            self._check_reached()

    def _go_on_searching(self, epoch):
        """Keeps the network that holds the metric, goes back to it, or cuts, as the search says."""
        search, (first, last) = self._search, self._progress.epochs
        if epoch < first or not search.is_measured:
            return
        if not search.begin(epoch - 1, self._progress.cost, self._original_sizes):
            return
        if search.held:
            self._keep()
        elif search.has_failed():
            self._go_back()
            search.try_less()
        if search.ratio and not search.is_trying and epoch <= last:
            self._cut_further(epoch)

    def _keep(self):
        """Remembers the network, which has held the metric."""
        number = self._search.kept.number + 1 if self._search.kept else 0
        kept = Kept(number, len(self._progress.path), self._progress.cost, Snapshot(self.model))
        self._search.keep(kept)
        self.back_up_part(number, KEPT, packed(kept.snapshot.values))

    def _cut_further(self, epoch):
        """Makes the next cut of a search, or ends the search if there is nothing more to cut."""
        floor = self._budget.target(self.ratio) if self.ratio else 0
        if self._amount <= floor or not self._cut(epoch, self._targets(floor), len(self.rounds_done) + 1):
            self._search.finish()

    def _targets(self, floor):
        """Yields what the next cut of a search comes down to; whoever asks again is given a smaller step."""
        while self._search.ratio:
            yield max(floor, target_cost(self._amount, self._search.ratio))
            self._search.try_less()

    def _go_back(self):
        """Puts back the last network that held the metric."""
        kept = self._search.kept
        with scope_of(self.model):
            kept.snapshot.restore()
        self._progress.cost = kept.cost
        del self._progress.path[kept.cuts :]
        forget_best(beside(self))
        if self.verbose:
            print(f"\nPruning: {self._search.describe()}, back to {self._progress.cost.describe()}")

    @property
    def _amount(self):
        """What the model costs now, in what the ratio is a share of."""
        return self._progress.cost.amount(self._budget.of)

    def get_config(self) -> dict:
        """Returns the arguments as plain values; `data` is not among them."""
        return {
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
            "calibration": dataclasses.asdict(self.calibration),
            "distillation": self.distillation and self.distillation.get_config(),
            "verbose": self.verbose,
        }

    @classmethod
    def from_config(cls, config: dict) -> "ProgressiveGlobalPruning":
        """Returns a callback made with the arguments of `get_config`; set its `data` afterwards."""
        made = {"guards": Guards(**config["guards"]), "calibration": Calibration(**config["calibration"])}
        taught = config["distillation"] and Distillation.from_config(config["distillation"])
        return cls(**{**config, **made, "distillation": taught})

    def _check_reachable(self, graph):
        """Returns the deepest cut that all rounds allow, or raises `UnreachableTargetError` if it is too small."""
        sizes = np.array(list(self._original_sizes.values()), int)
        fewest = self.guards.fewest(sizes)
        if self._search is None:
            per_rounds = np.ceil(sizes * (1 - self.guards.max_ratio_per_round) ** self.rounds).astype(int)
            fewest = np.minimum(sizes, np.maximum(fewest, per_rounds))
        scores = np.zeros(graph.num_units)
        protected = protect(scores, graph, fewest)
        deepest, cost = self._budget.cut(graph, scores, protected, self._align(graph), 0, self._progress.original)
        name = type(self).__name__
        argument, ratio = ("ratio", self.ratio) if self.ratio else ("ratio_per_round", self.ratio_per_round[-1])
        check_reached(name, self._budget.of, ratio, self._progress.original, cost, self.guards, argument)
        return deepest

    def _rehearse(self, graph, keep):
        """Raises what a cut would raise about layers or an optimizer that cannot be made anew, before training."""
        owner, whole = type(self).__name__, np.ones(graph.num_units, bool)
        with scope_of(self.model):
            check_rebuilt(self.model, rebuild(graph, whole)[0], self.data, self.steps, owner)
            _, transfers = rebuild(graph, keep)
            OptimizerCut(self.model.optimizer, transfers)

    def _cut(self, epoch, targets, number):
        """Makes one cut, and tells whether there was anything to cut; if it fails, the model is as it was.

        It comes down to the first of the targets that does not lead to what has been tried already.
        """
        start = time.perf_counter()
        graph = analyse(self.model, self.ignore)
        owner = type(self).__name__
        data = drawn(self.data, self.steps, owner)
        options = {"steps": self.steps, "owner": owner, "verbose": self.verbose}
        scores = unit_scores(graph, self.criterion, self.debias, data, **options)
        sizes = {name: len(units) for name, units in graph.layers.items()}
        original = [self._original_sizes.get(name, size) for name, size in sizes.items()]
        fewest = self.guards.fewest(list(sizes.values()), original)
        protected = protect(scores, graph, fewest)
        keep, cost = self._choose(graph, scores, protected, targets)
        self.model.reset_metrics()  # the loss was computed for scores
        if self._search and keep.all():
            return False
        if not keep.all():
            with scope_of(self.model):
                self._replace(*self._smaller(graph, keep, data))
            forget_best(beside(self))
        before, self._progress.cost = self._progress.cost, cost
        settings = {"of": self._budget.of, "round": len(self.rounds_done) + 1}
        settings |= {name: getattr(self, name) for name in ("ratio", "rounds", "max_drop")}
        plan = make_plan(graph, keep, before, self._progress.cost, settings)
        seconds = time.perf_counter() - start
        self._progress.add({"epoch": epoch, **self._progress.cost.to_dict(), "seconds": seconds, "plan": plan})
        if self._search:
            self._search.cut(self._progress.cost, _structure(graph, keep))
        self._say(number, before, seconds)
        return True

    def _choose(self, graph, scores, protected, targets):
        """Returns which units stay and what they cost, all of them where every target has been tried already."""
        for target in targets:
            keep, cost = self._budget.cut(graph, scores, protected, self._align(graph), target, self._progress.cost)
            if self._search is None or not self._search.has_tried(_structure(graph, keep)):
                return keep, cost
        return np.ones(graph.num_units, bool), self._progress.cost

    def _replace(self, smaller, transfers):
        """Makes the user's model the smaller one; with the first cut, what it was begins to teach it."""
        begins = self.distillation is not None and self._teaching is None
        if begins:
            dense = dense_twin(self.model)
            self._teaching = Teaching(self.model, dense, self.distillation)
            self._teaching.begin()
        adopt(self.model, smaller, transfers)
        if begins:
            self.back_up_part(0, TEACHER, packed([each.numpy() for each in dense.variables]))

    def _stop_teaching(self):
        if self._teaching is not None:
            self._teaching.end()
            self._teaching = None

    def _check_reached(self):
        """Warns if the last round fell short of the ratio."""
        of = self._budget.of
        if self._amount > self._budget.target(self.ratio):
            reached = 1 - self._amount / self._progress.original.amount(of)
            self._warn(
                f"The last round of pruning reached {reached:.3f} of the {of} instead of {self.ratio}: the guards "
                f"allow no more. Give more rounds, or loosen the guards: {self.guards}."
            )

    def _smaller(self, graph, keep, data):
        """Returns the smaller model, calibrated if there is data, and how its variables came from the old ones."""
        inputs = self._calibration_inputs(data)
        return calibrated(rebuild, graph, keep, inputs, self.calibration, self.verbose)

    def _calibration_inputs(self, data):
        """Returns the function that starts a pass over what cuts are made up for with, or `None` if they are not."""
        how = self.calibration
        if data is None or not (how.compensate or how.recalibrate):
            return None
        return calibration_inputs(data, self.model, self.steps, type(self).__name__, how.samples)

    def _align(self, graph):
        """Returns the rounding of the guards, by the sizes that groups had before the first round."""
        return self.guards.aligner([self._original_groups.get(group.name, group.size) for group in graph.groups])

    def _say(self, number, before, seconds):
        if self.verbose:
            now = self._progress.cost
            changes = describe_change(before, now) if now != before else "nothing, the rounds before went far enough"
            print(f"\nPruning round {number}: {changes} ({seconds:.1f} s)")

    def _warn(self, message):
        warnings.warn(message, SlimWarning, stacklevel=2)


def _structure(graph, keep):
    """Returns the number of units that each layer keeps."""
    return {name: int(keep[units].sum()) for name, units in graph.layers.items()}

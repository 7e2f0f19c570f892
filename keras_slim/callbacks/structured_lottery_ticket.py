"""Finding a small dense network that trains on its own: lottery tickets of whole units."""

import warnings

import keras
import numpy as np

from keras_slim.callbacks.alone import Alone
from keras_slim.callbacks.arguments import check_ignore
from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.callbacks.garbage import Garbage
from keras_slim.callbacks.in_place import check_in_place
from keras_slim.callbacks.moment import Moment
from keras_slim.callbacks.rewinding import Rewinding
from keras_slim.distribution import scope_of
from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.graph.analysis import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.costs import CostModel, describe_change
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.last_look import check_rebuilt
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.prune import check_guards, make_plan
from keras_slim.pruning.selection import protect, select
from keras_slim.pruning.surgery import rebuild
from keras_slim.scoring import check_data, criteria, debiasers, unit_scores
from keras_slim.scoring.data import drawn
from keras_slim.sparsity.kernels import by_path
from keras_slim.validation import check_count, check_share


class StructuredLotteryTicket(Alone):
    """Finds a network of fewer units that is trained from its first weights.

    The epochs of `fit` are divided into `rounds + 1` equal stretches. After each but the last, the units that
    contribute least are removed, and what is left goes back to what it was at the beginning of `fit`, or `rewind_to`
    steps after it, the optimizer's state included. The model object stays the user's and becomes really smaller, like
    under `ProgressiveGlobalPruning`: no zeros are held. What `fit` leaves is the smallest network, trained.

    `criterion="random"` is one control; `keras_slim.pruning.reinitialized(callback.ticket)` is another, which tells
    what the weights are worth. For the other callbacks in the same `fit`, see `LotteryTicket`. `BackupAndRestore`
    cannot take up a `fit` that was killed after a cut, since it loads weights of another size.

    Args:
        rounds: Number of times that units are removed and what is left goes back.
        ratio: Share of the units left that each round removes.
        rewind_to: Steps of the first stretch after which the moment lies that is gone back to; 0 is before the first.
            Where several steps are made in one execution, the first moment that is seen after as many steps.
        criterion: How much a unit of the trained network contributes, as in `keras_slim.plan_pruning`.
        debias: How scores of layers become comparable, as in `keras_slim.plan_pruning`.
        data: What scores that need data look at, as in `keras_slim.plan_pruning`.
        steps: Number of batches of `data` to look at in each round. Defaults to all; a generator needs it.
        guards: What a cut may not do. Defaults to `keras_slim.pruning.Guards(align=1)`, which lets the number of units
            be exact.
        ignore: Names of layers to leave whole, or of models inside the model.
        verbose: 0 says nothing, 1 says one line per round, and how far scores are where they take long.

    Attributes:
        ticket: The network as the last stretch started it, a plain Keras model that is not compiled; `None` before
            there is one.
        rounds_done: One dictionary for each stretch: `round` (0 is before the first cut), `epoch` (as in
            `history.epoch`), `units`, `params`, `macs`, `density` (share of the units left), `plan` (the `PruningPlan`
            that led to it; `None` for the first), `history`, the values of each metric by epoch, and `logs`, the last.

    Raises:
        ValueError: If an argument is out of range; in `fit`, before training starts, if data is missing, its epochs
            cannot be divided, or the first stretch has fewer steps than `rewind_to`.
        UnsupportedLayerError: In `fit`, before training starts, if the model is subclassed, has a config that does not
            hold its layers, or has no unit that can go.

    Reference:
        Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (arXiv 1803.03635), which removes single weights.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> lottery = slim.callbacks.StructuredLotteryTicket(rounds=2, ratio=0.5, verbose=0)
    >>> history = model.fit(x, y, epochs=6, verbose=0, callbacks=[lottery])
    >>> model.layers[0].units, lottery.ticket.layers[0].units
    (8, 8)
    """

    def __init__(
        self,
        rounds: int,
        ratio: float = 0.2,
        rewind_to: int = 0,
        *,
        criterion="l2",
        debias="l2",
        data=None,
        steps: int | None = None,
        guards: Guards | None = None,
        ignore=(),
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.rounds = check_count(rounds, "rounds", owner)
        self.ratio = check_share(ratio, "ratio", owner)
        self.rewind_to = check_count(rewind_to, "rewind_to", owner, minimum=0)
        self.criterion = criteria.get(criterion, "criterion", owner)
        self.debias = debiasers.get(debias, "debias", owner)
        self.data = data
        self.steps = None if steps is None else check_count(steps, "steps", owner)
        self.guards = Guards(align=1) if guards is None else check_guards(guards, owner)
        self.ignore = check_ignore(ignore, owner)
        self.verbose = verbose
        self._begin_anew()

    @property
    def ticket(self) -> keras.Model | None:
        moment = self._rewinding.moment
        if moment is None or self._ticket is not None:
            return self._ticket
        graph = analyse(self.model)
        values = {id(weight): moment.weights[path] for path, weight in by_path(self.model.weights).items()}
        return rebuild(graph, np.ones(graph.num_units, bool), values=values)[0]

    def on_train_begin(self, logs=None):
        self.check_alone()
        self._begin_anew()
        graph = analyse(self.model, self.ignore)
        if not graph.groups:
            raise UnsupportedLayerError(
                f"`{type(self).__name__}` finds nothing to remove in model '{self.model.name}'. Expected units that "
                "can go. `keras_slim.plan_pruning(model, 0).describe()` says why there are none."
            )
        check_in_place(graph, type(self).__name__)
        check_data(graph, self.criterion, self.data, debias=self.debias, steps=self.steps, owner=type(self).__name__)
        self._groups = {group.name: group.size for group in graph.groups}
        self._layers = {name: len(units) for name, units in graph.layers.items()}
        self._begun = False
        self._rehearse(graph)

    def on_epoch_begin(self, epoch, logs=None):
        if not self._begun:  # by now, all callbacks have begun
            self._rewinding.begin(self.model, epoch, self.params)
            self._begun = True
        number = self._rewinding.beginning_with(epoch)
        if number is None:
            return
        plan = None
        if number:
            garbage = Garbage(self.model)
            plan = self._cut(number, epoch)
            garbage.free()
        cost = self._cost if plan is None else plan.after
        density = cost.units / self._cost.units
        counts = {"units": cost.units, "params": cost.params, "macs": cost.macs}
        self._rewinding.open(number, epoch, **counts, density=density, plan=plan)

    def on_train_batch_end(self, batch, logs=None):
        self._rewinding.watch(self.model)

    def on_epoch_end(self, epoch, logs=None):
        self._rewinding.record(logs or {})
        if logs is not None:
            logs["units"] = float(self.rounds_done[-1]["units"])

    def on_train_end(self, logs=None):
        self._ticket = self.ticket  # before the model is changed further
        self._rewinding.warn_if_unfinished()

    def get_config(self) -> dict:
        """Returns the arguments as plain values; `data` is not among them."""
        return {
            "rounds": self.rounds,
            "ratio": self.ratio,
            "rewind_to": self.rewind_to,
            "criterion": criteria.serialize(self.criterion),
            "debias": debiasers.serialize(self.debias),
            "steps": self.steps,
            "guards": vars(self.guards).copy(),
            "ignore": self.ignore,
            "verbose": self.verbose,
        }

    @classmethod
    def from_config(cls, config: dict) -> "StructuredLotteryTicket":
        """Returns a callback made with the arguments of `get_config`; set its `data` afterwards."""
        return cls(**{**config, "guards": Guards(**config["guards"])})

    def _begin_anew(self):
        self._rewinding = Rewinding(self.rounds, self.rewind_to, type(self).__name__)
        self.rounds_done = self._rewinding.done
        self._ticket: keras.Model | None = None

    def _rehearse(self, graph):
        """Raises what a cut would raise about layers or an optimizer that cannot be made anew; counts what there is."""
        whole = np.ones(graph.num_units, bool)
        self._cost = CostModel(graph).cost(whole)
        with scope_of(self.model):
            rebuilt, transfers = rebuild(graph, whole)
            check_rebuilt(self.model, rebuilt, self.data, self.steps, type(self).__name__)
            OptimizerCut(self.model.optimizer, transfers)

    def _cut(self, number, epoch):
        """Removes units, goes back with the others, and returns the plan; if it fails, the model is as it was."""
        graph = analyse(self.model, self.ignore)
        keep = self._chosen(graph)
        costs = CostModel(graph)
        before, after = costs.cost(np.ones(graph.num_units, bool)), costs.cost(keep)
        self.model.reset_metrics()  # the loss was computed for scores
        trained, layers = Moment.of(self.model), self.model.layers
        try:
            self._rewinding.moment.restore(self.model)
            with scope_of(self.model):
                adopt(self.model, *rebuild(graph, keep))
        except BaseException:
            if self.model.layers == layers:
                trained.restore(self.model)
            raise
        self._rewinding.moment = Moment.of(self.model)
        forget_best(beside(self))
        if self.verbose:
            left = f"{describe_change(before, after)}, back to {self._rewinding.describe()}"
            print(f"\nEpoch {epoch + 1}: round {number} of {self.rounds}, {left}")
        return make_plan(graph, keep, before, after, {"ratio": self.ratio, "of": "units", "round": number})

    def _chosen(self, graph):
        """Returns which units are kept: all but the exact share of those with the lowest scores, within the guards."""
        owner = type(self).__name__
        data = drawn(self.data, self.steps, owner)
        options = {"steps": self.steps, "owner": owner, "verbose": self.verbose}
        scores = unit_scores(graph, self.criterion, self.debias, data, **options)
        sizes = {name: len(units) for name, units in graph.layers.items()}
        original = [self._layers.get(name, size) for name, size in sizes.items()]
        protected = protect(scores, graph, self.guards.fewest(list(sizes.values()), original))
        align = self.guards.aligner([self._groups.get(group.name, group.size) for group in graph.groups])
        target = graph.num_units - round(self.ratio * graph.num_units)
        keep = select(scores, graph.group_of(), protected, align, np.sum, target)
        if keep.sum() > target:
            warnings.warn(
                f"A round of `{owner}` left {keep.sum()} of {len(keep)} units instead of {target}: the guards allow no "
                f"less. Give fewer rounds, or loosen the guards: {self.guards}.",
                SlimWarning,
                stacklevel=2,
            )
        return keep

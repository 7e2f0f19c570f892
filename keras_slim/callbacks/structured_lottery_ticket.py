"""Finding a small dense network that trains on its own: lottery tickets of whole units."""

import keras

from keras_slim.callbacks.alone import Alone
from keras_slim.callbacks.arguments import check_ignore, check_part
from keras_slim.callbacks.cutter import Cutter
from keras_slim.callbacks.moment import Moment
from keras_slim.callbacks.rewinding import Rewinding
from keras_slim.callbacks.saying import say, warn
from keras_slim.errors import UnsupportedLayerError
from keras_slim.plain_values import plain
from keras_slim.pruning.budget import Budget
from keras_slim.pruning.costs import describe_change
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.measures import Units
from keras_slim.pruning.prune import check_guards, make_plan
from keras_slim.scoring import criteria, debiasers
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
            A step is a batch, whatever the optimizer makes of it. Where several are made in one execution, the first
            moment that is seen after as many.
        criterion: How much a unit of the trained network contributes, as in `keras_slim.plan_pruning`.
        debias: How scores of layers become comparable, as in `keras_slim.plan_pruning`.
        data: What scores that need data look at, as in `keras_slim.plan_pruning`.
        steps: Number of batches of `data` to look at in each round. Defaults to all; a generator needs it.
        guards: What a cut may not do. Defaults to `keras_slim.pruning.Guards(align=1)`, which lets the number of units
            be exact.
        ignore: Names of layers to leave whole, or of models inside the model.
        part: The only model inside the model that is cut, as for `ProgressiveGlobalPruning`.
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
        UnsupportedLayerError: In `fit`, before training starts, if the code of a subclassed model cannot be read, or
            does not follow when its layers become smaller; if the config of another does not hold its layers; or if it
            has no unit that can go.
        RuntimeError: In `fit`, before training starts, if an optimizer of the model's own is not built.

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
        part: str | None = None,
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
        self.part = check_part(part, owner)
        self.verbose = verbose
        self._begin_anew()

    @property
    def ticket(self) -> keras.Model | None:
        moment = self._rewinding.moment
        if moment is None or self._ticket is not None:
            return self._ticket
        values = {id(weight): moment.weights[path] for path, weight in by_path(self.model.weights).items()}
        return self._cutter.subject.copy(values)

    def on_train_begin(self, logs=None):
        self._check_alone()
        self._begin_anew()
        self._cutter = Cutter(self)
        graph = self._cutter.look()
        if not graph.groups:
            raise UnsupportedLayerError(
                f"`{type(self).__name__}` finds nothing to remove in model '{graph.model.name}'. Expected units that "
                "can go. `keras_slim.plan_pruning(model, 0).describe()` says why there are none."
            )
        self._cutter.check(graph)
        self._budget = Budget(Units(), graph)
        self._cost = self._budget.original
        self._begun = False
        deepest, _ = self._cutter.deepest(graph, self.guards.fewest, self._budget)
        self._cutter.rehearse(graph, deepest)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch
        if not self._begun:  # by now, all callbacks have begun
            self._rewinding.begin(self.model, epoch, self.params)
            self._begun = True
        number = self._rewinding.beginning_with(epoch)
        if number is None:
            return
        plan = None
        if number:
            with self._cutter.freeing():
                plan = self._cut(number, epoch)
        counts = {name: getattr(self._cost, name) for name in ("units", "params", "macs")}
        density = self._cost.units / self._budget.original.units
        self._rewinding.open(number, epoch, **counts, density=density, plan=plan)

    def on_train_batch_end(self, batch, logs=None):
        self._rewinding.watch(self.model, self._epoch, batch)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._rewinding.record(logs or {})

    def _known(self, epoch):
        return {name: value for name, value in self._cost.to_dict().items() if value is not None}

    def _scores(self):
        return self._cutter.scores

    def on_train_end(self, logs=None):
        self._ticket = self.ticket  # before the model is changed further
        self._rewinding.warn_if_unfinished()

    def get_config(self) -> dict:
        """Returns the arguments as plain values; `data` is not among them."""
        return plain(
            {
                "rounds": self.rounds,
                "ratio": self.ratio,
                "rewind_to": self.rewind_to,
                "criterion": criteria.serialize(self.criterion),
                "debias": debiasers.serialize(self.debias),
                "steps": self.steps,
                "guards": vars(self.guards).copy(),
                "ignore": self.ignore,
                "part": self.part,
                "verbose": self.verbose,
            }
        )

    @classmethod
    def from_config(cls, config: dict) -> "StructuredLotteryTicket":
        """Returns a callback made with the arguments of `get_config`; set its `data` afterwards."""
        return cls(**{**config, "guards": Guards(**config["guards"])})

    def _begin_anew(self):
        self._rewinding = Rewinding(self.rounds, self.rewind_to, type(self).__name__)
        self.rounds_done = self._rewinding.done
        self._ticket: keras.Model | None = None

    def _cut(self, number, epoch):
        """Removes units, goes back with the others, and returns the plan; if it fails, the model is as it was."""
        ranking = self._cutter.rank()
        keep, after = self._chosen(ranking)
        trained, weights = Moment.of(self.model), list(map(id, self.model.weights))
        try:
            self._rewinding.moment.restore(self.model)
            self._cutter.replace(ranking, keep)
        except BaseException:
            if list(map(id, self.model.weights)) == weights:  # it was not cut
                trained.restore(self.model)
            raise
        self._rewinding.moment = Moment.of(self.model)
        before, self._cost = self._cost, after
        left = f"{describe_change(before, after)}, back to {self._rewinding.describe()}"
        say(self.verbose, f"Epoch {epoch + 1}: round {number} of {self.rounds}, {left}")
        return make_plan(ranking.graph, keep, before, after, {"ratio": self.ratio, "of": "units", "round": number})

    def _chosen(self, ranking):
        """Returns which units stay, all but the exact share of the lowest within the guards, and what they cost."""
        total = ranking.graph.num_units
        target = total - round(self.ratio * total)
        keep, cost = ranking.down_to(target, self._budget, self._cost)
        if cost.units > target:
            warn(
                f"A round of `{type(self).__name__}` left {cost.units} of {total} units instead of {target}: the "
                f"guards allow no less. Give fewer rounds, or loosen the guards: {self.guards}."
            )
        return keep, cost

"""Removing filters and neurons."""

import dataclasses

import keras
import numpy as np

from keras_slim.callbacks.epochs import cutting_epochs
from keras_slim.callbacks.progressive_global_pruning import ProgressiveGlobalPruning
from keras_slim.graph.analysis import analyse
from keras_slim.graph.channels import WHOLE
from keras_slim.graph.opening import opened
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.measures import measures
from keras_slim.pruning.prune import prune
from keras_slim.recipes.base import State, steps
from keras_slim.recipes.training import Training
from keras_slim.rewriting.per_layer import paths
from keras_slim.scoring import criteria, debiasers
from keras_slim.validation import check_choice, check_count, check_share

OWNER = "step `prune`"


@steps.register("prune")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Prune(Training):
    """Removes whole filters and neurons, the least useful of the network.

    Without `epochs` it is `keras_slim.prune`, with the data to make up for the cut; with them a
    `keras_slim.callbacks.ProgressiveGlobalPruning` in a `fit`. By layer it has no options: a layer is left alone or
    not. One that is left alone keeps all of its weights, so that layers whose units it reads keep theirs.

    Args:
        ratio: Share to remove, above 0 and below 1.
        of: What it is a share of: `"units"`, `"params"`, `"macs"`, `"bytes"`, `"latency"`.
        criterion: How much a unit contributes, as for `keras_slim.plan_pruning`. Defaults to `"l2"`, with epochs to
            `"taylor"`.
        debias: How scores of layers become comparable.
        align: Kept units are rounded up to a multiple of this.
        min_units: Fewest units a layer keeps.
        max_ratio: Largest share of its units that a layer loses.
        steps: Batches of the data that scores look at. Defaults to all.
        compensate: Whether kept units make up for those that go, on the data.
        rounds: Number of cuts, with epochs.
    """

    ratio: float
    of: str = "units"
    criterion: str | None = None
    debias: str = "l2"
    align: int = 8
    min_units: int = 4
    max_ratio: float = 0.9
    steps: int | None = None
    compensate: bool = True
    rounds: int = 5

    def __post_init__(self):
        super().__post_init__()
        check_share(self.ratio, "ratio", OWNER)
        measures.get(self.of, "of", OWNER)
        debiasers.get(self.debias, "debias", OWNER)
        _ = self.guards, self._criterion
        check_count(self.rounds, "rounds", OWNER)
        check_choice(self.compensate, "compensate", OWNER, (True, False))
        if self.epochs:
            cutting_epochs(self.rounds, ProgressiveGlobalPruning(self.ratio).window, 0, self.epochs)
        if self.steps is not None:
            check_count(self.steps, "steps", OWNER)

    @property
    def guards(self) -> Guards:
        """What the cut may not do."""
        return Guards(min_units=self.min_units, max_ratio=self.max_ratio, align=self.align)

    @property
    def _criterion(self):
        return criteria.get(self.criterion or ("taylor" if self.epochs else "l2"), "criterion", OWNER)

    @property
    def needs(self):
        found = {super().needs, self._criterion.needs, debiasers.get(self.debias, "debias", OWNER).needs}
        return next((need for need in ("targets", "inputs") if need in found), "nothing")

    @property
    def undoes(self):
        return ("sparsify", "share") if self.epochs or self.compensate else ()

    def weaker(self, strength):
        return dataclasses.replace(self, ratio=self.ratio * strength) if strength else None

    def run(self, state, place):
        options = {
            "of": self.of,
            "criterion": self._criterion,
            "debias": self.debias,
            "steps": self.steps,
            "guards": self.guards,
            "calibration": self.compensate,
        }
        if self.epochs:
            model = place.copy(state.model)
            callback = ProgressiveGlobalPruning(
                self.ratio,
                **options,
                data=place.data,
                rounds=self.rounds,
                ignore=tied_to(model, place.untouched),
                distillation=self.distillation,
                verbose=0,
            )
            return State(self.fit(state, place, callback, teaches=False))
        model = place.copy(state.model)
        place.compile(model)
        ignore = tied_to(model, place.untouched)
        model = prune(model, self.ratio, data=place.data, ignore=ignore, verbose=place.verbose, **options)
        _take_back(model, state.model, place.untouched)
        return State(model, state.holding)


def _take_back(model, before, names):
    """Gives layers the weights that they had before units made up for others: none of theirs was cut."""
    layers = {path: layer for layer, path in paths(before).items() if path in names}
    for layer, path in paths(model).items():
        if path in layers:
            for new, old in zip(layer.weights, layers[path].weights, strict=True):
                new.assign(old)


def tied_to(model: keras.Model, names) -> tuple[str, ...]:
    """Returns the names of all layers whose units lie in the weights of some layers, which are cut with them.

    Args:
        model: A Functional or Sequential model.
        names: Paths of these layers.
    """
    weights = {id(weight) for layer, path in paths(model).items() if path in names for weight in layer.weights}
    if not weights:
        return ()
    graph = analyse(opened(model, OWNER), owner=OWNER)
    units = [slot.units[slot.units != WHOLE] for slot in graph.slots if id(slot.variable) in weights]
    found = np.unique(np.concatenate([*units, np.zeros(0, int)]))
    tied = [group for group in graph.groups if ((found >= group.first) & (found < group.first + group.size)).any()]
    return tuple(dict.fromkeys(name for group in tied for name in group.layers))

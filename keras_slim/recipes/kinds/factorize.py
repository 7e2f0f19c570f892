"""Layers as products of smaller ones."""

import dataclasses

from keras_slim.lowrank import factorize, plan_factorization
from keras_slim.lowrank.asked import SCHEME_NAMES
from keras_slim.lowrank.meter import read_measure
from keras_slim.lowrank.rank_rules import read_rule
from keras_slim.recipes.base import State, Step, steps
from keras_slim.recipes.place import is_within
from keras_slim.rewriting.per_layer import paths
from keras_slim.validation import check_choice, check_share

OWNER = "step `factorize`"


@steps.register("factorize")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Factorize(Step):
    """Writes layers as products of smaller ones, with less to compute.

    It is `keras_slim.plan_factorization` and `keras_slim.factorize`, with a look at the data if there is any. The last
    of the layers in the place of another has its name. By layer it has no options: a layer is left alone or not. Behind
    it a `fine_tune` wins back what it costs.

    Args:
        ratio: Share of the cost to remove, above 0 and below 1. Either this or `ranks`.
        of: What it is a share of: `"macs"`, `"params"`, `"bytes"` or `"latency"`.
        ranks: `"energy"`, `"evbmf"`, or a number.
        scheme: `"auto"`, `"channel"`, `"mirrored"`, `"spatial"`, `"tucker"`, `"tensor_train"` or `"cp"`.
    """

    ratio: float | None = None
    of: str = "macs"
    ranks: str | int | None = None
    scheme: str = "auto"

    def __post_init__(self):
        if (self.ratio is None) == (self.ranks is None):
            raise ValueError(f"Expected either `ratio` or `ranks` in {OWNER}. Received: {self.get_config()}.")
        if self.ratio is not None:
            check_share(self.ratio, "ratio", OWNER)
        read_rule(self.ranks, "ranks", OWNER)
        read_measure(self.of, OWNER)
        check_choice(self.scheme, "scheme", OWNER, SCHEME_NAMES)

    @property
    def undoes(self):
        return "sparsify", "share", "quantize"

    def weaker(self, strength):
        return dataclasses.replace(self, ratio=self.ratio * strength) if strength and self.ratio else None

    def run(self, state, place):
        untouched = [path for path in paths(state.model).values() if is_within(path, place.untouched)]
        plan = plan_factorization(
            state.model,
            self.ratio,
            of=self.of,
            ranks=self.ranks,
            scheme=self.scheme,
            data=place.data,
            ignore=untouched,
            verbose=place.verbose,
        )
        notes = (f"Products: {', '.join(repr(each.path) for each in plan.layers) or 'none'}.",)
        small = factorize(state.model, plan, place.data, ignore=untouched, verbose=place.verbose)
        return State(small, state.holding, notes)

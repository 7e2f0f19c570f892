"""What is chosen for each layer: by one ranking down to a cost or a metric, or layer by layer by a rule."""

import numpy as np

from keras_slim.errors import UnreachableTargetError, invalid_argument
from keras_slim.lowrank.fitting import fitted, plain
from keras_slim.lowrank.options import choose, is_smaller, made, options_of, slope
from keras_slim.lowrank.replacing import replaced
from keras_slim.lowrank.search import smallest
from keras_slim.lowrank.seen import looked_at, moments
from keras_slim.progress_display import progress
from keras_slim.pruning.costs import target_cost
from keras_slim.pruning.measured_target import reach

NO_RANKS = "no ranks are given for it"
NO_SCHEME = "no scheme is given for it"
RANKS_NOT_SMALLER = "it has no ranks with which it is smaller"
NOT_SMALLER = "it would be no smaller"
OTHERS_LOSE_LESS = "other layers lose less for what they save"
METRIC_FALLS = "the metric would fall by more than max_drop"


class Choices:
    """The options of each layer, and the ways to choose among them.

    Args:
        layers: The `Layers`.
        meter: The `Meter` that says what they cost.
        rule_of: Function from a layer to its `RankRule`, or `None`, where each layer is seen by itself; `None` where
            all are seen in one ranking.
        batches: As `calibration_inputs` returns them; `None` without data.
        memory: As for `plan_factorization`.
        verbose: As for `plan_factorization`.
    """

    def __init__(self, layers, meter, rule_of, batches, memory, verbose):
        self._layers, self._meter = layers, meter
        self._batches, self._memory, self._verbose = batches, memory, verbose
        self._counted = meter.counted
        self._why = {}
        found = {}
        seeing = {} if batches is None else self._seeing(rule_of)
        for grams in moments(layers.program, layers.model, layers.kinds, seeing, batches, memory, verbose):
            with progress("Looking at singular values", "layers", verbose) as counted:
                for layer, gram in counted(grams.items()):
                    given = layers.kinds[layer], layers.calls[layer], layers.schemes(layer), gram
                    found[layer], self._why[layer] = (
                        _ranked(*given, self._counted) if rule_of is None else _by_rule(*given, rule_of(layer))
                    )
        self._options = {layer: found[layer] for layer in layers.kinds}
        self._whole = {layer: options[0] for layer, options in self._options.items()}

    def _seeing(self, rule_of):
        """Returns the layers that are looked at: those that may become products."""
        layers = self._layers
        asked = {
            layer: kind
            for layer, kind in layers.kinds.items()
            if layers.schemes(layer) and (rule_of is None or rule_of(layer) is not None)
        }
        return looked_at(asked, self._memory, depth=4)

    def within(self, ratio, settings, owner):
        """Returns the plan that brings the model down by a share of its cost, or raises."""
        meter = self._meter
        total = self._count(self._whole) if meter.before is None else meter.before
        target = target_cost(total, ratio)
        chosen, reached = self._measured_at(target) if meter.before is not None else self._counted_at(target)
        if reached > target:
            expected = f"at most {max(0.0, 1 - reached / total):.3f} of the {meter.of}, with each layer at rank 1"
            hint = "Layers that stay whole, and why: `plan_factorization(model, ranks=1).describe()`."
            if meter.before is not None:
                names = sorted(layer.name for layer, why in self._why.items() if why == meter.no_less)
                hint = f"Measured by themselves, these would be no {meter.less}: {names}."
            raise UnreachableTargetError(invalid_argument("ratio", owner, expected=expected, received=ratio, hint=hint))
        return self._plan(chosen, settings, reached)

    def by_rules(self, settings):
        """Returns the plan that the rules of the layers make."""
        chosen = self._settled({layer: options[-1] for layer, options in self._options.items()}, self._verbose)
        chosen, cost = self._checked(chosen)
        return self._plan(chosen, settings, cost)

    def holding(self, floor, settings):
        """Returns the plan of the smallest network whose metric holds."""
        chosen, after, tries = smallest(
            self._at, self._count, self._deepest(), self._count(self._whole), self._carried_out, floor, self._verbose
        )
        if chosen is None:
            chosen = self._whole
            self._why |= {layer: METRIC_FALLS for layer, why in self._why.items() if why == OTHERS_LOSE_LESS}
        chosen, cost = self._checked(chosen)
        after = floor.before if chosen == self._whole else after
        return self._plan(chosen, settings | {"metric": floor.to_dict(after, tries)}, cost)

    def _at(self, amount, verbose=0):
        """Returns the choice by the one ranking with which the model comes down to a count."""
        return self._settled(choose(self._options, self._counted, amount - self._rest()), verbose)

    def _counted_at(self, target):
        chosen = self._at(target)
        return chosen, self._count(chosen)

    def _measured_at(self, target):
        """Returns the choice whose file comes down to a cost, and what it costs."""

        def numbers(chosen):
            return np.array([options.index(chosen[layer]) for layer, options in self._options.items()])

        def choice(numbers):
            of_layers = zip(self._options.items(), numbers, strict=True)
            return {layer: options[number] for (layer, options), number in of_layers}

        found, reached = reach(
            target,
            numbers(self._whole),
            self._meter.before,
            lambda amount: numbers(self._at(amount, self._verbose)),
            lambda selection: self._count(choice(selection)),
            lambda selection: self._meter.cost(choice(selection)),
            self._meter.tolerance,
        )
        return choice(found), reached

    def _settled(self, chosen, verbose=0):
        """Returns a choice in which those stay whole that are measured to cost no less."""
        meter, settled = self._meter, dict(chosen)
        if meter.before is None:
            return settled
        with progress("Measuring layers", "layers", verbose) as counted:
            for layer, option in counted(chosen.items()):
                if option.scheme and not meter.is_worth(layer, option):
                    settled[layer], self._why[layer] = self._whole[layer], meter.no_less
        return settled

    def _rest(self):
        """Returns the count of all that has no options."""
        return self._count(self._whole) - sum(option.cost(self._counted) for option in self._whole.values())

    def _deepest(self):
        """Returns the least count that there is."""
        return self._rest() + sum(min(option.cost(self._counted) for option in each) for each in self._options.values())

    def _count(self, chosen):
        return self._layers.sizes(self._options, chosen).amount(self._counted)

    def _carried_out(self, chosen):
        """Returns the network of a choice, with the data."""
        model, planned = self._layers.model, self._meter.planned(chosen)
        if not planned or self._batches is None:
            return replaced(model, planned, plain(planned))
        return replaced(model, planned, fitted(model, planned, self._batches, self._memory, 0))

    def _checked(self, chosen):
        """Returns a choice and what it is measured to cost, all as it is if it costs no less."""
        meter = self._meter
        if meter.before is None or chosen == self._whole:
            return chosen, meter.before
        cost = meter.cost(chosen)
        if cost < meter.before:
            return chosen, cost
        self._why |= {layer: meter.whole_no_less for layer, option in chosen.items() if option.scheme}
        return self._whole, meter.before

    def _plan(self, chosen, settings, cost):
        """Returns the plan of a choice that costs so much."""
        meter = self._meter
        before, after = self._layers.before, self._layers.sizes(self._options, chosen)
        if meter.before is not None:
            before, after = before.measured(meter.of, meter.before), after.measured(meter.of, cost)
        return self._layers.plan(chosen, self._why, before, after, settings)


def _ranked(kind, calls, schemes, gram, counted):
    """Returns all options of a layer, the first the layer as it is, and why that is taken if it is."""
    whole, *rest = options_of(kind, calls, schemes, gram)
    if not schemes:
        return [whole], NO_SCHEME
    is_less = any(each.cost(counted) < whole.cost(counted) for each in rest)
    return [whole, *rest], OTHERS_LOSE_LESS if is_less else NOT_SMALLER


def _by_rule(kind, calls, schemes, gram, rule):
    """Returns the layer as it is, behind it what a rule makes of it, if that is smaller, and why not if it is not."""
    whole = made(kind, calls, "", None, (), 0.0)
    if rule is None or not schemes:
        return [whole], NO_SCHEME if rule else NO_RANKS
    kernel, given = kind.weighed(gram), gram if rule.sees_data else None
    shown = kernel if rule.sees_data else kind.kernel
    ranks = {name: rule.ranks(shown, scheme, given) for name, scheme in schemes.items()}
    found = []
    for name, each in ranks.items():
        if each is not None:
            lost = max(0.0, schemes[name].lost_at(kernel, each, gram))
            option = made(kind, calls, name, schemes[name], each, lost)
            found += [option] if is_smaller(kind, option, whole) else []
    of = "params" if whole.macs is None or kind.may_compute_more else "macs"
    best = sorted(found, key=lambda each: slope(whole, each, of))[:1]
    is_none = all(each is None for each in ranks.values())
    return [whole, *best], rule.why_none(schemes) if is_none else RANKS_NOT_SMALLER

"""What can be done to each layer, what it costs, and the choice for all of them by one ranking."""

import dataclasses
import heapq
import itertools
import math
from typing import Any

from keras_slim.factorization import Scheme


@dataclasses.dataclass(frozen=True)
class Option:
    """One way to write the kernel of a layer.

    Args:
        scheme: Name of the scheme; empty for the layer as it is.
        ranks: Ranks of its factors.
        lost: Share of the response's sum of squares that is lost.
        params: Parameters of the factors.
        macs: Multiply-accumulates for one sample; `None` where they are not known.
    """

    scheme: str
    ranks: tuple[int, ...]
    lost: float
    params: int
    macs: Any

    def cost(self, of: str) -> int:
        return getattr(self, of)

    @property
    def log_lost(self) -> float:
        """What it adds to the logarithm of the energy that is lost over all layers (Zhang et al. 2015)."""
        return -math.log(max(1 - self.lost, 1e-12))


def options_of(kind, calls, schemes: dict[str, Scheme], gram) -> list[Option]:
    """Returns the layer as it is, and every way to write it that has fewer parameters and less to compute.

    Args:
        kind: A `Factorable`.
        calls: Shapes of what goes in and comes out, `(inputs, outputs)`, for each of its calls.
        schemes: The `Scheme`s to try, by name.
        gram: What its kernel reads, as `Scheme.lost` takes it. Optional.
    """
    whole = made(kind, calls, "", None, (), 0.0)
    kernel = kind.weighed(gram)
    found = [
        made(kind, calls, name, scheme, ranks, max(0.0, lost))
        for name, scheme in schemes.items()
        for ranks, lost in scheme.lost(kernel, gram)
    ]
    return [whole, *(each for each in found if is_smaller(kind, each, whole))]


def made(kind, calls, name, scheme, ranks, lost) -> Option:
    """Returns an `Option` with what it costs."""
    known = all(None not in (*inputs[1:], *outputs[1:]) for inputs, outputs in calls)
    macs = sum(kind.macs(*call, scheme, ranks) for call in calls) if known else None
    return Option(name, ranks, lost, kind.params if scheme is None else scheme.size(kind.shape, ranks), macs)


def is_smaller(kind, option: Option, whole: Option) -> bool:
    """Tells whether an option has fewer parameters and less to compute than the layer as it is."""
    computes_less = whole.macs is None or kind.may_compute_more or option.macs < whole.macs
    return option.params < whole.params and computes_less


def choose(options: dict[Any, list[Option]], of: str, target: float) -> dict[Any, Option]:
    """Returns an option for each layer, so that together they cost at most a target, and lose least.

    Of each layer's options only those are candidates of which no mix of two others costs less and loses less. The steps
    between these, of all layers, stand in one ranking by what they lose for what they save; the best are made until
    the target is reached. The last one goes no further than it must.

    Args:
        options: Options of each layer; the first is the layer as it is.
        of: `"params"` or `"macs"`.
        target: What all layers may cost together. If it is out of reach, all is chosen that saves.
    """
    ways = {name: _hull(each, of) for name, each in options.items()}
    chosen = {name: way[0] for name, way in ways.items()}
    total = sum(each.cost(of) for each in chosen.values())
    steps = [
        (slope(first, second, of), order, index, name)  # so that names, which may be layers, never are compared
        for order, (name, way) in enumerate(ways.items())
        for index, (first, second) in enumerate(itertools.pairwise(way))
    ]
    heapq.heapify(steps)
    while steps and total > target:
        *_, index, name = heapq.heappop(steps)
        now, then = chosen[name], ways[name][index + 1]
        total += then.cost(of) - now.cost(of)
        chosen[name] = then
        if total <= target:
            spare = target - total + then.cost(of)
            enough = [each for each in options[name] if then.cost(of) <= each.cost(of) <= spare]
            chosen[name] = min(enough, key=lambda each: (each.lost, each.cost(of)))
    return chosen


def _hull(options, of):
    """Returns the options on the lower convex hull of what is lost over the cost, from the layer as it is down."""
    whole, *rest = options
    way = [whole]
    for option in sorted(rest, key=lambda each: (-each.cost(of), each.log_lost)):
        if option.cost(of) >= way[-1].cost(of):
            continue
        while len(way) > 1 and slope(way[-2], way[-1], of) >= slope(way[-2], option, of):
            way.pop()
        way.append(option)
    return way


def slope(first, second, of):
    """Returns what is lost more, for each unit of cost that is saved."""
    return (second.log_lost - first.log_lost) / (first.cost(of) - second.cost(of))

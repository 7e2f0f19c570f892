"""Planning a cut, and planning and carrying it out in one line."""

import warnings

import keras
import numpy as np

from keras_slim.errors import SlimWarning, UnreachableTargetError, invalid_argument
from keras_slim.graph.analysis import analyse
from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.graph.opening import opened, read_to_prune
from keras_slim.pruning.budget import Budget
from keras_slim.pruning.calibration import Calibration, check_calibration
from keras_slim.pruning.costs import target_cost
from keras_slim.pruning.guards import Guards, parts_of_groups
from keras_slim.pruning.measures import measures
from keras_slim.pruning.plan import GroupPlan, PruningPlan
from keras_slim.pruning.selection import protect
from keras_slim.pruning.shrink import carried_out
from keras_slim.pruning.surgery import rebuild
from keras_slim.scoring import criteria, debiasers, unit_scores
from keras_slim.scoring.data import drawn, first_inputs
from keras_slim.validation import check_share

MUCH_MORE = 2
"""How many times what was asked a cut may take before a word is said."""


def plan_pruning(
    model: keras.Model,
    ratio: float,
    *,
    of="units",
    criterion="l2",
    debias="l2",
    data=None,
    steps: int | None = None,
    guards: Guards | None = None,
    ignore=(),
    verbose: int = 1,
) -> PruningPlan:
    """Decides which units of a model to remove, and changes nothing.

    All units of the network stand in one ranking of de-biased scores; the lowest go, until the target is reached.

    Args:
        model: A built model. A subclassed one, and layers that hold layers, are read as `functional` reads them.
        ratio: Share to remove, from 0 (nothing) to below 1.
        of: What the ratio is a share of: `"units"`, `"params"`, `"macs"` (multiply-accumulates of one sample),
            `"bytes"` (of the exported file), `"latency"` (of the exported file, measured on this machine), or a
            `keras_slim.pruning.Measure`, such as `FileBytes("int8")` or `FileLatency(threads=2)`.
        criterion: How much a unit contributes: `"l1"`, `"l2"`, `"bn_scale"`, `"fpgm"`, `"taylor"`, `"fisher"`,
            `"mean_activation"`, `"std_activation"`, `"apoz"`, `"redundancy"`, `"product"`, `"oracle"`, `"random"`, a
            `Criterion`, or a function from weights `(fan_in, units)` to scores `(units,)`.
        debias: How scores of layers become comparable: `"none"`, `"mean"`, `"max"`, `"l2"`, `"rms"`, `"z_score"`,
            `"rank"`, `"fitted"`, a `Debias`, or a function from scores to scores.
        data: What scores that need data look at: arrays `(x, y)`, a dataset, a `PyDataset` or a generator.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        guards: What the cut may not do. Defaults to `Guards()`.
        ignore: Names of layers to leave whole, or of models inside the model.
        verbose: 1 shows how far each pass over the data has come, once that takes more than five seconds.

    Returns:
        The `PruningPlan`.

    Raises:
        ValueError: If an argument is out of range, or data is missing or does not fit.
        UnreachableTargetError: If the guards make the ratio unreachable; the message says what can be reached.
        UnsupportedLayerError: If the model is subclassed, and its code cannot be read.
        ExportError: If a file has to be measured, and the model does not convert.
        RuntimeError: If a file has to be measured, and Keras does not run on TensorFlow.
    """
    owner = "plan_pruning"
    ratio = check_share(ratio, "ratio", owner, zero=True)
    measure = measures.get(of, "of", owner)
    criterion = criteria.get(criterion, "criterion", owner)
    debias = debiasers.get(debias, "debias", owner)
    guards = check_guards(guards, owner)
    data = drawn(data, steps, owner) if ratio else None
    reading = read_to_prune(model, owner)
    model, given = reading.twin, model
    graph = analyse(model, ignore, owner, batch=lambda: first_inputs(data, model, owner=owner))
    budget = Budget(measure, graph)
    scores = np.zeros(0)
    if ratio:
        scores = unit_scores(graph, criterion, debias, data, steps=steps, owner=owner, verbose=verbose)
    keep, after = np.ones(graph.num_units, bool), budget.original
    if ratio and graph.groups:
        protected = protect(scores, graph, guards.fewest([len(units) for units in graph.layers.values()]))
        align = guards.aligner([group.size for group in graph.groups], parts_of_groups(graph))
        keep, after = budget.cut(graph, scores, protected, align, budget.target(ratio), budget.original)
    check_reached(owner, budget.of, ratio, budget.original, after, guards)
    warn_if_rounded(owner, budget.of, ratio, budget.original.amount(budget.of), after.amount(budget.of), guards)
    settings = {"ratio": ratio, "of": budget.of, "criterion": criterion.alias, "debias": debias.alias}
    if model is not given:
        settings["opened"] = reading.opened(given)
    return make_plan(graph, keep, budget.original, after, settings)


def prune(
    model: keras.Model,
    ratio: float,
    *,
    data=None,
    steps: int | None = None,
    calibration: Calibration | bool | None = None,
    verbose: int = 1,
    **options,
) -> keras.Model:
    """Returns a smaller copy of a model in one line.

    It is `shrink(model, plan_pruning(model, ratio, data=data, ...), data, ...)`.

    Args:
        model: A built model. It is not changed.
        ratio: Share to remove, from 0 (nothing) to below 1.
        data: What a data-driven criterion looks at, and what the cut is made up for with, as in `shrink`.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        calibration: How a cut is made up for with data. Defaults to `Calibration()`; `True` is that, `False` is none.
        verbose: 0 shows nothing, 1 how far it is, where that takes more than five seconds.
        **options: As for `plan_pruning`.

    Returns:
        The smaller model, a plain Keras model, not compiled.
    """
    owner = "prune"
    model = opened(model, owner)
    calibration = check_calibration(calibration, owner)
    data = drawn(data, steps, owner)
    plan = plan_pruning(model, ratio, data=data, steps=steps, verbose=verbose, **options)
    return carried_out(model, plan, rebuild, data, steps, calibration, verbose, owner)


def check_guards(guards, owner):
    """Returns the guards, the default ones for `None`."""
    if guards is None:
        return Guards()
    if not isinstance(guards, Guards):
        raise TypeError(invalid_argument("guards", owner, expected="a `keras_slim.pruning.Guards`", received=guards))
    return guards


def check_reached(owner, of, ratio, before, after, guards, argument="ratio"):
    """Raises `UnreachableTargetError` if a cut falls short of its ratio."""
    total, left = before.amount(of), after.amount(of)
    if not ratio or (before.units and left <= target_cost(total, ratio)):
        return
    if not before.units:
        expected, hint = "0, since nothing in this model can be pruned", "`plan_pruning(model, 0).describe()` says why."
    else:
        expected = f"at most {1 - left / total:.3f} of the {of}, as far as the guards and what can be cut allow"
        hint = f"Lower it, or loosen the guards: {guards}."
    raise UnreachableTargetError(invalid_argument(argument, owner, expected=expected, received=ratio, hint=hint))


def warn_if_rounded(owner, of, ratio, before, after, guards):
    """Warns if a cut takes much more than a share, which the rounding of the guards does to small networks."""
    removed = 1 - after / max(before, 1)
    if ratio and guards.align > 1 and removed > MUCH_MORE * ratio:
        warnings.warn(
            f"`{owner}` removes {removed:.1%} of the {of} where ratio={ratio} asks for {ratio:.1%}: a layer keeps a "
            f"multiple of {guards.align} units, since odd widths run slower. Give `guards=Guards(align=1)` for what "
            "was asked.",
            SlimWarning,
            stacklevel=3,
        )


def make_plan(graph: ChannelGraph, keep, before, after, settings) -> PruningPlan:
    """Returns a selection as a plan."""
    groups = tuple(
        GroupPlan(
            group.name,
            group.layers,
            group.size,
            tuple(np.flatnonzero(keep[group.first : group.first + group.size]).tolist()),
            group.tied_by,
        )
        for group in graph.groups
    )
    return PruningPlan(groups, graph.whole, before, after, settings)

"""What a global ranking has to beat: pruning layer by layer, and training the small network from scratch.

Two more need no function of their own. `debias="rank"` cuts all layers in the same proportion, and `criterion="random"`
scores by chance.
"""

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.graph.analysis import analyse
from keras_slim.graph.opening import opened
from keras_slim.pruning.calibration import Calibration, check_calibration
from keras_slim.pruning.costs import CostModel
from keras_slim.pruning.plan import PruningPlan
from keras_slim.pruning.prune import make_plan
from keras_slim.pruning.selection import protect, select
from keras_slim.pruning.shrink import check_plan, shrink
from keras_slim.reinitialization import fresh_clone
from keras_slim.scoring import criteria, debiasers, unit_scores
from keras_slim.scoring.data import drawn


def prune_layer_by_layer(
    model: keras.Model,
    plan: PruningPlan,
    fine_tune,
    *,
    criterion="l2",
    data=None,
    steps: int | None = None,
    calibration: Calibration | bool | None = None,
) -> keras.Model:
    """Returns a smaller copy of a model, cut layer after layer with training between.

    From input to output, each group of layers is scored, cut, and the network trained before the next one is scored,
    as in ThiNet (Luo et al. 2017, arXiv 1707.06342, section 3.1). How many units each keeps is the plan's; which ones,
    is decided when its turn comes. It trains as often as there are groups that lose units: what a global ranking saves.

    Args:
        model: A built Functional or Sequential model. It is not changed.
        plan: The `PruningPlan` that says how many units each group keeps, such as that of
            `plan_pruning(model, 0.5, debias="rank")` for the same proportion of all.
        fine_tune: Function that compiles a model and trains it in place.
        criterion: How much a unit contributes, as in `plan_pruning`.
        data: What a data-driven criterion looks at, and what each cut is made up for with, as in `prune`.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        calibration: How a cut is made up for with data. Defaults to `Calibration()`; `True` is that, `False` is none.

    Returns:
        The smaller model, compiled by `fine_tune`.

    Raises:
        PlanMismatchError: If the plan was made for another architecture.
        ValueError: If data is missing or does not fit.
        TypeError: If `fine_tune` cannot be called.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> def fine_tune(network):
    ...     network.compile("adam", "mse")
    ...     network.fit(x, y, verbose=0)
    >>> plan = slim.plan_pruning(model, ratio=0.5, debias="rank")
    >>> slim.pruning.prune_layer_by_layer(model, plan, fine_tune, data=x).layers[0].units
    16
    """
    owner = "prune_layer_by_layer"
    if not callable(fine_tune):
        expected = "a function that compiles a model and trains it"
        raise TypeError(invalid_argument("fine_tune", owner, expected=expected, received=fine_tune))
    criterion = criteria.get(criterion, "criterion", owner)
    calibration = check_calibration(calibration, owner)
    check_plan(plan, owner)
    model = opened(model, owner)
    plan.keep(analyse(model, owner=owner))
    data = drawn(data, steps, owner)
    small = None
    for group in plan.groups:
        lost = group.size - len(group.kept_channels)
        if lost:
            turn = _plan_of_group(small or model, group.name, lost, criterion, data, steps, owner)
            small = shrink(small or model, turn, data, steps=steps, calibration=calibration)
            fine_tune(small)
    return small or shrink(model, plan)


def _plan_of_group(model, name, lost, criterion, data, steps, owner):
    """Returns the plan that removes a number of units from one group, those of lowest score."""
    graph = analyse(model)
    group_of = graph.group_of()
    names = np.array([group.name for group in graph.groups])
    scores = unit_scores(graph, criterion, debiasers.get("none", "debias", owner), data, steps=steps, owner=owner)
    stay = protect(scores, graph, np.ones(len(graph.layers), int)) | (names[group_of] != name)
    keep = select(scores, group_of, stay, lambda kept, sizes: kept, np.sum, graph.num_units - lost)
    costs = CostModel(graph)
    return make_plan(graph, keep, costs.cost(np.ones(graph.num_units, bool)), costs.cost(keep), {})


def reinitialized(model: keras.Model, seed: int | None = None) -> keras.Model:
    """Returns the same network with fresh weights, to be trained from scratch.

    The control that tells what pruning is worth: the small structure alone, or the weights that were kept (Liu et al.
    2019, arXiv 1810.05270). What a `Normalization` layer learned about the data by `adapt` stays.

    Args:
        model: A built Functional or Sequential model, such as `prune` returns. It is not changed.
        seed: Seed of the fresh weights, in place of those that the initializers have. Defaults to chance, as
            `keras.utils.set_random_seed` rules it.

    Returns:
        The new model; compiled if `model` is, with a new optimizer of the same settings.

    Raises:
        UnsupportedLayerError: If the model is subclassed.

    Example:

    >>> import keras, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32), keras.layers.Dense(2)])
    >>> control = slim.pruning.reinitialized(slim.prune(model, ratio=0.5), seed=1)
    >>> control.layers[0].units
    16
    """
    analyse(model, owner="reinitialized")
    return fresh_clone(model, seed)

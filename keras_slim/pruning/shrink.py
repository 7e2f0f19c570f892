"""Carrying out a plan: the model really smaller, or at full size with the removed units silent."""

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.analysis import analyse
from keras_slim.graph.opening import opened
from keras_slim.pruning.calibration import Calibration, calibrated, calibration_inputs, check_calibration
from keras_slim.pruning.plan import PruningPlan
from keras_slim.pruning.surgery import rebuild, silence
from keras_slim.scoring.data import drawn


def shrink(
    model: keras.Model,
    plan: PruningPlan,
    data=None,
    *,
    steps: int | None = None,
    calibration: Calibration | bool | None = None,
    verbose: int = 1,
) -> keras.Model:
    """Returns a smaller copy of a model, without the units that a plan removes.

    The copy is a plain Keras model of stock layers with fewer units; nothing has to be stripped from it. It is not
    compiled. The model itself is not changed. Of a subclassed model the copy is a functional one, as `functional` reads
    it; layers that hold layers become models inside it.

    With data the cut hurts much less: the units that are kept stand in for those that go. Inputs suffice, some hundreds
    of samples.

    Args:
        model: The model the plan was made for, or another one of the same architecture.
        plan: The `PruningPlan`.
        data: Inputs to look at, in any form `model.fit` takes. Without them the weights that are left stay the same.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        calibration: How a cut is made up for with data. Defaults to `Calibration()`; `True` is that, `False` is none.
        verbose: 0 shows nothing, 1 how far it is, where that takes more than five seconds.

    Returns:
        The smaller model.

    Raises:
        PlanMismatchError: If the plan was made for another architecture.
        ValueError: If the data does not fit the model.

    Example:

    >>> import keras, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, name="hidden"), keras.layers.Dense(2)])
    >>> small = slim.shrink(model, slim.plan_pruning(model, ratio=0.5))
    >>> small.get_layer("hidden").units
    16
    """
    return carried_out(model, plan, rebuild, data, steps, calibration, verbose, "shrink")


def mask(
    model: keras.Model,
    plan: PruningPlan,
    data=None,
    *,
    steps: int | None = None,
    calibration: Calibration | bool | None = None,
    verbose: int = 1,
) -> keras.Model:
    """Returns a full-size copy of a model in which the removed units are silent.

    Every weight that reads a removed unit is zero, and normalisation over channels leaves it out, so the copy answers
    as `shrink` does with the same arguments, but keeps the shapes of the model: to ask what a cut would do before
    making it. The zeros are not held in further training.

    Args:
        model: The model the plan was made for, or another one of the same architecture.
        plan: The `PruningPlan`.
        data: As for `shrink`.
        steps: As for `shrink`.
        calibration: As for `shrink`.
        verbose: As for `shrink`.

    Returns:
        The masked model, not compiled.

    Raises:
        PlanMismatchError: If the plan was made for another architecture.
    """
    return carried_out(model, plan, silence, data, steps, calibration, verbose, "mask")


def check_plan(plan, owner):
    """Raises `TypeError` for what is no plan."""
    if not isinstance(plan, PruningPlan):
        expected, hint = "a `keras_slim.PruningPlan`", "`keras_slim.plan_pruning(model, ratio)` makes one."
        raise TypeError(invalid_argument("plan", owner, expected=expected, received=plan, hint=hint))


def carried_out(model, plan, make, data, steps, calibration, verbose, owner):
    """Returns the model that `make` makes, which is `rebuild` or `silence`, calibrated if there is data."""
    calibration = check_calibration(calibration, owner)
    check_plan(plan, owner)
    model = opened(model, owner)
    graph = analyse(model, owner=owner)
    keep = plan.keep(graph)
    if data is None or keep.all():
        return make(graph, keep)[0]
    batches = calibration_inputs(drawn(data, steps, owner), model, steps, owner, calibration.samples)
    return calibrated(make, graph, keep, batches, calibration, verbose)[0]

"""Carrying out a plan: the model really smaller, or at full size with the removed units silent."""

import keras
import numpy as np

from keras_slim.graph.analysis import analyse
from keras_slim.graph.channel_graph import kept_positions
from keras_slim.layers.masked_normalization import masked_twin
from keras_slim.pruning.plan import PruningPlan
from keras_slim.pruning.surgery import rebuild


def shrink(model: keras.Model, plan: PruningPlan) -> keras.Model:
    """Returns a smaller copy of a model, without the units that a plan removes.

    The copy is a plain Keras model of stock layers with fewer units; nothing has to be stripped from it. It is not
    compiled. The model itself is not changed.

    Args:
        model: The model the plan was made for, or another one of the same architecture.
        plan: The `PruningPlan`.

    Returns:
        The smaller model.

    Raises:
        PlanMismatchError: If the plan was made for another architecture.

    Example:

    >>> import keras, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, name="hidden"), keras.layers.Dense(2)])
    >>> small = slim.shrink(model, slim.plan_pruning(model, ratio=0.5))
    >>> small.get_layer("hidden").units
    16
    """
    graph = analyse(model)
    smaller, _ = rebuild(graph, plan.keep(graph))
    return smaller


def mask(model: keras.Model, plan: PruningPlan) -> keras.Model:
    """Returns a full-size copy of a model in which the removed units are silent.

    Every weight that reads a removed unit is zero, and normalisation over channels leaves it out, so the copy answers
    as `shrink(model, plan)` does, but keeps the shapes of the model: to ask what a cut would do before making it. The
    zeros are not held in further training.

    Args:
        model: The model the plan was made for, or another one of the same architecture.
        plan: The `PruningPlan`.

    Returns:
        The masked model, not compiled.

    Raises:
        PlanMismatchError: If the plan was made for another architecture.
    """
    graph = analyse(model)
    keep = plan.keep(graph)

    def replace(layer, config):
        kept = {
            axis: kept_positions(units, keep).tolist()
            for (owner, axis), units in graph.statistics.items()
            if owner == id(layer)
        }
        return masked_twin(layer, config, kept)

    masked, transfers = rebuild(graph, np.ones(graph.num_units, bool), replace)
    copies = {id(transfer.old): transfer.new for transfer in transfers}
    for slot in graph.slots:
        if slot.role == "consumes":
            copy = copies[id(slot.variable)]
            alive = np.zeros(copy.shape[slot.axis])
            alive[kept_positions(slot.units, keep)] = 1
            shape = [-1 if axis == slot.axis else 1 for axis in range(len(copy.shape))]
            copy.assign(copy.numpy() * alive.reshape(shape).astype(copy.dtype))
    return masked

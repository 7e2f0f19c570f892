"""What the loss is without one unit: the ground truth that criteria estimate."""

import keras
import numpy as np
from keras import ops

from keras_slim.distribution import each_alone, sum_over_processes
from keras_slim.graph.replay import Replay
from keras_slim.graph.silencing import silent_twin, silent_value
from keras_slim.remaking import config_of
from keras_slim.scoring.data import NO_BATCH, flat_inputs, num_samples
from keras_slim.scoring.losses import loss_function


def loss_rises(graph, units, data, verbose=0):
    """Returns by how much the loss rises when a unit is silenced, for each of some units alone.

    A silenced unit is what it is in `keras_slim.mask`: nothing reads it. Layers before those that read it are computed
    once for all units, so that late units cost less than early ones.

    Args:
        graph: Channel graph of the model. Weights are changed meanwhile, and given back whatever happens.
        units: The units' numbers.
        data: Function of no argument that returns an iterator over batches `(x, y, sample_weight)`.
        verbose: 1 shows a progress bar for each batch.

    Returns:
        Array of the shape of `units`: the rise of the mean loss over all samples, negative where the loss falls.
    """
    loss_of = loss_function(graph.model)
    readers = {id(slot.variable): slot.variable for slot in graph.slots if slot.role == "consumes"}
    weights = {key: ops.convert_to_numpy(variable) for key, variable in readers.items()} if len(units) else {}
    changes = [_Silence(graph, unit, weights) for unit in units]
    rises, samples = np.zeros(len(changes)), 0
    with each_alone(graph.model):
        for x, y, sample_weight in data() if changes else ():
            x, y, sample_weight = keras.tree.map_structure(_as_tensor, (x, y, sample_weight))
            replay = Replay(graph.model, flat_inputs(graph.model, x))
            before = float(loss_of(x, y, replay.outputs, sample_weight))
            bar = keras.utils.Progbar(len(changes), verbose=verbose, unit_name="unit")
            size = num_samples(x)
            for index, change in enumerate(changes):
                with change as replace:
                    rises[index] += size * (float(loss_of(x, y, replay.again(replace), sample_weight)) - before)
                bar.update(index + 1)
            samples += size
    if changes and not samples:
        raise ValueError(NO_BATCH)
    rises, samples = sum_over_processes((rises, samples))
    return rises / max(1, samples)


def _as_tensor(value):
    return None if value is None else ops.convert_to_tensor(value)


class _Silence:
    """The context in which a unit is silenced; its value is the function that `Replay.again` takes.

    Args:
        graph: Channel graph of the model.
        unit: The unit's number.
        weights: The values of all variables that read units, by the id of the variable.
    """

    def __init__(self, graph, unit, weights):
        self._graph = graph
        self._weights = weights
        self._keep = np.arange(graph.num_units) != unit
        readers = [slot.variable for slot in graph.slots if slot.role == "consumes" and unit in slot.units]
        self._variables = {id(variable): variable for variable in readers}
        self._counting = {owner for (owner, *_), units in graph.statistics.items() if unit in units}

    def __enter__(self):
        try:
            for key, variable in self._variables.items():
                variable.assign(silent_value(self._graph, self._keep, variable, self._weights[key]))
            return self._replace
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error):
        for key, variable in self._variables.items():
            variable.assign(self._weights[key])

    def _replace(self, layer):
        """Returns what takes a layer's place; `None` where the unit is not read."""
        if id(layer) in self._counting:
            twin = silent_twin(self._graph, self._keep, layer, config_of(layer))
            if isinstance(twin, keras.layers.Layer):
                twin.build_from_config(layer.get_build_config())
                twin.set_weights(layer.get_weights())
            return twin
        return layer if any(id(each) in self._variables for each in getattr(layer, "variables", ())) else None

"""The masked twin of a model, call by call, without a second model."""

import dataclasses
import functools

import keras
import numpy as np

from keras_slim.graph.running import has_states
from keras_slim.graph.silencing import silent_twin, silent_value
from keras_slim.held import is_stock
from keras_slim.own_state import carry_state, variables_of
from keras_slim.pruning.surgery import remade


class SilentProgram:
    """What a model computes while some units have no effect, call by call as its `Program` does.

    It calls the layers of the model itself: what a cut leaves alone as it is, and what has other weights here in a
    `keras.StatelessScope` that holds these. Copied are only layers that leave units out of their statistics, that
    remember something from call to call, such as a seed, and that are the user's own, whose code may hold weights.

    Args:
        graph: Channel graph of the model, which is not changed.
        keep: Boolean array of shape `(graph.num_units,)`.
        program: The model's `Program`.

    Attributes:
        calls: List of functions from values by their numbers to what comes out, likewise.
    """

    def __init__(self, graph, keep, program):
        self._graph, self._keep = graph, keep
        self._values = {}  # by the id of a variable of the model
        self._variables = {}  # those of copies, likewise
        own = {id(slot.variable) for slot in graph.slots if not is_stock(type(slot.layer))}
        copies = {}
        self.calls = []
        for call in program.calls:
            layer = call.operation
            if id(layer) not in copies:
                copies[id(layer)] = self._copy(call, program, own)
            if copies[id(layer)] is None:
                self.calls.append(functools.partial(self._call, call))
            else:
                self.calls.append(dataclasses.replace(call, operation=copies[id(layer)]))
        alive = np.append(keep, True)
        read = [slot for slot in graph.slots if slot.role == "consumes" and not alive[slot.units].all()]
        for variable in {id(slot.variable): slot.variable for slot in read}.values():
            self.set(variable, keras.ops.convert_to_numpy(variable))

    def set(self, variable, value):
        """Gives a variable of the model another value here, but for what reads units that are not kept: that is 0."""
        value = silent_value(self._graph, self._keep, variable, value)
        if id(variable) in self._variables:
            self._variables[id(variable)].assign(value)
        else:
            self._values[id(variable)] = keras.ops.convert_to_tensor(value, variable.dtype)

    def _call(self, call, values):
        variables = getattr(call.operation, "variables", ())
        if not any(id(each) in self._values for each in variables):
            return call(values)
        with keras.StatelessScope([(each, self._values.get(id(each), each)) for each in variables]):
            return call(values)

    def _copy(self, call, program, own):
        """Returns the layer that is called in place of another one; `None` for that very layer."""
        layer = call.operation
        variables = getattr(layer, "variables", ())
        masked = functools.partial(silent_twin, self._graph, self._keep)
        has_own = variables and (not is_stock(type(layer)) or any(id(variable) in own for variable in variables))
        remembers = has_states(layer) or len(variables) > len(getattr(layer, "weights", ()))  # or has a seed
        if not (has_own or remembers or any(owner == id(layer) for owner, *_ in self._graph.statistics)):
            return None
        copy = remade(layer, replace=masked)
        args, kwargs = keras.tree.map_structure(program.symbol, (call.args, call.kwargs))
        copy(*args, **kwargs)
        for old, new in zip(*variables_of(layer, copy), strict=True):
            new.assign(old)
            self._variables[id(old)] = new
        carry_state(layer, copy)
        return copy

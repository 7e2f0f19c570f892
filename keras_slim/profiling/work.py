"""What one call of a layer has to compute, and the table of rules that know it, one rule per layer type."""

import dataclasses
import math
from collections.abc import Callable, Iterable

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.nodes import Node, is_graph
from keras_slim.profiling.calls import calls

_rules: dict[type | str, Callable] = {}


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """How often the elements of one weight are used in one call, for one sample.

    Args:
        uses: Times that each element of the weight meets an input; the times that two inputs meet if there is no
            weight. It may depend on the shapes of the call's tensors, not on those of the layer's own weights.
        weight: The weight. Optional.
        multiplications: Multiplications per use. 1 by default.
        additions: Additions per use. 1 by default; an adder layer has no multiplication and two additions.
        xnors: XNOR operations per use, which stand in the place of multiplications where both have two values. None by
            default.
        widths: Axes of weights, `(weight, axis)`, whose sizes multiply the uses: how wide the vectors are that meet
            inside the layer, such as queries and keys. Optional.
    """

    uses: int
    weight: keras.Variable | None = None
    multiplications: int = 1
    additions: int = 1
    widths: tuple[tuple[keras.Variable, int], ...] = ()
    xnors: int = 0

    @property
    def sizes(self) -> list[tuple[keras.Variable, int]]:
        """The axes of weights whose sizes multiply the uses: all those of the weight, and the widths."""
        own = [] if self.weight is None else [(self.weight, axis) for axis in range(len(self.weight.shape))]
        return [*own, *self.widths]

    @property
    def total_uses(self) -> int:
        """Uses of all elements together."""
        return self.uses * math.prod(weight.shape[axis] for weight, axis in self.sizes)

    def times(self, count) -> "Work":
        """Returns the work of doing this `count` times."""
        return dataclasses.replace(self, uses=self.uses * count)


def register_work(*operations: type | str):
    """Teaches `profile` and `weight_uses` what a layer of your own has to compute.

    The rule holds for exactly these classes, not for classes derived from them. A later rule replaces an earlier one.

    Args:
        operations: Layer classes. Operations of `keras.ops` have no public classes and go by name, e.g. `"Matmul"`.

    Returns:
        A decorator for the rule: a function of the layer and of the `keras_slim.graph.nodes.Node` that describes the
        call (its `inputs` and `outputs` have shapes), which returns a list of `Work`. It mentions every weight of two
        or more dimensions, with 0 uses where there is nothing to count.

    Raises:
        TypeError: If one of `operations` is neither a class nor a string.

    Example:

    >>> class PerChannelScale(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.scale = self.add_weight(shape=(1, shape[-1]), name="scale")
    ...     def call(self, x):
    ...         return x * self.scale
    >>> @register_work(PerChannelScale)
    ... def scaling(layer, call):
    ...     return weight_work(layer, {"scale": call.outputs[0].shape[1]}, additions=0)
    """
    for operation in operations:
        if not isinstance(operation, type | str):
            raise TypeError(
                invalid_argument("operations", "register_work", expected="layer classes or names", received=operation)
            )

    def decorator(rule):
        _rules.update(dict.fromkeys(operations, rule))
        return rule

    return decorator


def weight_work(layer, uses: dict[str, int], *, multiplications=1, additions=1) -> list[Work]:
    """Returns the work of a layer's weights by name, what most rules consist of.

    Args:
        layer: The layer that holds the weights.
        uses: For each name of a weight, e.g. `"kernel"`, how often each of its elements is used for one sample.
        multiplications: Multiplications per use.
        additions: Additions per use.

    Returns:
        One `Work` for each weight of the layer that has one of these names.
    """
    return [
        Work(uses[weight.name], weight, multiplications, additions) for weight in layer.weights if weight.name in uses
    ]


def work_of(call: Node) -> list[Work]:
    """Returns the work of one call: by the rule of its type, or of all that an inner model calls; else nothing."""
    operation = call.operation
    rule = _rules.get(type(operation) if isinstance(operation, keras.Layer) else type(operation).__name__)
    if rule is not None:
        return rule(operation, call)
    if is_graph(operation):
        return [work for _, inner in calls(operation, call.inputs) for work in work_of(inner)]
    return []


def unexplained(operation, works: Iterable[Work]) -> list[keras.Variable]:
    """Returns the weights of two or more dimensions that none of `works` mentions, even with 0 uses."""
    explained = {id(work.weight) for work in works}
    weights = getattr(operation, "weights", [])
    return [weight for weight in weights if len(weight.shape) > 1 and id(weight) not in explained]

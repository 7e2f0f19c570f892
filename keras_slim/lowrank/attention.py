"""Attention layers, which become the same with smaller heads; their projections are inside, and stay there."""

import math

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError
from keras_slim.factorization import Heads, SmallerHeads
from keras_slim.graph.copying import copied
from keras_slim.graph.program import Place
from keras_slim.lowrank.kinds import FRESH, Factorable
from keras_slim.lowrank.seen import Seen

GATE = "its gate weighs each number of a head by itself, so that none can be left out"


class FactorableAttention(Factorable):
    """Attention with several heads, each of which gets keys and values of fewer numbers.

    Scores are `x query key' y' / sqrt(key_dim)`, so that smaller kernels are scaled for the `key_dim` that they have.
    The bias of keys adds the same to all scores of a query, and has no effect: it becomes 0. Attention weights sum up
    to 1, so that the bias of values is one of outputs, wherever the smaller values cannot have it.
    """

    is_kernel = False
    is_tied = False
    """Whether keys and values are as wide as each other."""

    def __init__(self, layer):
        self.layer = layer
        self._weights = {tuple(weight.path.split("/")[-2:]): weight for weight in layer.weights}
        self._has_bias, self._has_gate = layer.use_bias, ("gate", "kernel") in self._weights
        self.shape = self.kernel.shape
        self._scheme = SmallerHeads(self._has_bias, self.is_tied, not self._has_gate)
        self.schemes = {SmallerHeads.name: self._scheme}

    def _array(self, owner, name="kernel"):
        return keras.ops.convert_to_numpy(self._weights[owner, name]).astype(float)

    @property
    def kernel(self):
        query, output = self._array("query"), self._array("attention_output")
        if self._has_bias:
            query = np.concatenate([query, self._array("query", "bias")[None]])
        return Heads(query, self._array("key"), self._array("value"), output.reshape(*output.shape[:2], -1))

    @property
    def params(self):
        return self._scheme.size(self.shape, self.shape[5 : 5 + self._scheme.num_ranks()])

    @property
    def num_moments(self):
        return sum(size**2 for size in self.shape[2:5])

    def why_not(self):
        constraints = [each.constraint for each in self._weights.values() if each.constraint is not None]
        if constraints:
            return f"its kernels have a constraint, `{type(constraints[0]).__name__}`, that factors would not keep"
        if self.is_tied and self._has_gate:
            return GATE
        is_finite = all(np.isfinite(keras.ops.convert_to_numpy(each)).all() for each in self._weights.values())
        return "" if is_finite else "its kernel is not finite"

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        key_dim, value_dim = self.shape[5:7] if scheme is None else scheme.dims(self.shape, ranks)
        heads, groups, queries, keys, values, _, wide, out = self.shape
        queries -= self._has_bias
        becomes = len(self._weights["attention_output", "kernel"].shape) - 2  # axes of what comes out for a query
        num_queries, num_values = math.prod(outputs[1 : len(outputs) - becomes]), math.prod(inputs[1:-1])
        pairs = num_queries * math.prod(inputs[axis] for axis in self.attention_axes)
        gate = num_queries * queries * heads * wide * self._has_gate
        return (
            key_dim * heads * (num_queries * queries + pairs)
            + value_dim * heads * (num_queries * out + pairs)
            + num_values * groups * (key_dim * keys + value_dim * values)
            + gate
        )

    @property
    def attention_axes(self):
        return self.layer.attention_axes

    def reads(self, call):
        value, query, key = (call.argument(name) for name in ("value", "query", "key"))
        read = [value, query, value if key is None else key]
        if not all(isinstance(each, Place) for each in read):
            raise UnsupportedLayerError(
                f"Layer '{self.layer.name}' is given a constant as query, key or value. Expected values that the model "
                f"computes. Leave it whole: `ignore=[{self.layer.name!r}]`."
            )
        return tuple(each.number for each in read)

    def seen(self, centered=True):
        return SeenByAttention(self)

    def fitted(self, scheme, ranks, seen):
        whole = self.kernel
        arrays = {"query": whole.query, "key": whole.key, "value": whole.value}
        wanted = {
            name: seen.parts[name].regressed(each.reshape(len(each), -1)).reshape(each.shape)
            for name, each in arrays.items()
        }
        heads = scheme.fit(Heads(**wanted, output=whole.output), ranks, seen.gram())
        return heads, self._biases(heads, *seen.parts["value"].means()) if self._has_bias else None

    def _biases(self, heads, before=None, after=None):
        """Returns the biases of values and of outputs, which keep the mean of what comes out.

        Args:
            heads: The smaller `Heads`.
            before: Mean of what values read in the model. Defaults to 0.
            after: Mean of what they read where these heads are. Defaults to 0.
        """
        whole = self.kernel
        nothing = np.zeros(len(whole.value))
        means = np.tensordot(nothing if before is None else before, whole.value, 1) + self._array("value", "bias")
        own = np.tensordot(nothing if after is None else after, heads.value, 1)
        output = self._array("attention_output", "bias")
        if self._has_gate:
            return means - own, output
        found, rest = [], np.zeros(whole.output.shape[-1])
        for group, mean in enumerate(means):
            wanted, possible = mean @ whole.of_values(group)[1], heads.of_values(group)[1]
            found.append(wanted @ np.linalg.pinv(possible))
            rest += (wanted - found[-1] @ possible).reshape(-1, len(rest)).sum(axis=0)
        return np.stack(found) - own, output + rest.reshape(output.shape)

    def values(self, factors, bias):
        return self._values(factors.padded(*self.shape[5:7]), factors, bias)

    def _values(self, heads, factors, bias):
        """Returns the variables of the layer, and values for them: kernels of some heads, and the biases of factors."""
        query, *query_bias = np.split(heads.query, [len(heads.query) - 1]) if self._has_bias else [heads.query]
        output = heads.output.reshape(*heads.output.shape[:2], *self._weights["attention_output", "kernel"].shape[2:])
        found = {"query": query, "key": heads.key, "value": heads.value, "attention_output": output}
        pairs = [(self._weights[owner, "kernel"], array) for owner, array in found.items()]
        if self._has_bias:
            value_bias, output_bias = self._biases(factors) if bias is None else bias
            found = {
                "query": query_bias[0][0],
                "key": np.zeros(heads.key.shape[1:]),
                "value": np.pad(value_bias, [(0, 0), (0, heads.value.shape[2] - value_bias.shape[1])]),
                "attention_output": output_bias,
            }
            pairs += [(self._weights[owner, "bias"], array) for owner, array in found.items()]
        return pairs

    def stack(self, scheme, ranks, names, changes):
        return [copied(self.layer, **{**changes, **FRESH, **self.entries(*scheme.dims(self.shape, ranks))})]

    def entries(self, key_dim, value_dim):
        return {"key_dim": key_dim, "value_dim": value_dim}

    def fill(self, stack, factors, bias):
        scale = (factors.key.shape[2] / self.shape[5]) ** 0.25  # of both, for another `key_dim` under the root
        scaled = Heads(factors.query * scale, factors.key * scale, factors.value, factors.output)
        self.carry(stack[0], self._values(scaled, factors, bias))


class FactorableGroupedAttention(FactorableAttention):
    """Attention of which several heads share keys and values; these are as wide as each other."""

    is_tied = True

    @property
    def attention_axes(self):
        return (1,)

    def entries(self, key_dim, value_dim):
        return {"head_dim": key_dim}


class SeenByAttention:
    """Second moments of what queries, keys and values read, as `Seen` has them of one kernel.

    Args:
        kind: The `FactorableAttention`.

    Attributes:
        parts: A `Seen` for each.
    """

    def __init__(self, kind):
        _, _, queries, keys, values, *_ = kind.shape
        has_bias = kind.layer.use_bias
        self.parts = {
            "value": Seen(_Part(kind.layer, values, False), has_bias),
            "query": Seen(_Part(kind.layer, queries, has_bias), False),
            "key": Seen(_Part(kind.layer, keys, False), True),
        }

    def add(self, values, before=None, share=1.0):
        before = [None] * len(values) if before is None else [[each] for each in before]
        for part, value, other in zip(self.parts.values(), values, before, strict=True):
            part.add([value], other, share)

    def check(self):
        for part in self.parts.values():
            part.check()

    def gram(self):
        return tuple(self.parts[name].gram() for name in ("query", "key", "value"))


class _Part:
    """What one projection reads.

    Args:
        layer: The attention layer.
        num_columns: How many numbers.
        has_bias: Whether the last of these is 1.
    """

    leaves_out_padding = True

    def __init__(self, layer, num_columns, has_bias):
        self.layer = layer
        self.num_columns = num_columns
        self._has_bias = has_bias

    def rows(self, value, chosen):
        rows = value.reshape(-1, value.shape[-1])
        rows = rows[chosen(len(rows))]
        return np.concatenate([rows, np.ones((len(rows), 1))], axis=1) if self._has_bias else rows

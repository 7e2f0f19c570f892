"""From a network of products to one of differences: adder layers where a model has convolutions and dense layers."""

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable

import keras

from keras_slim.errors import SlimWarning, did_you_mean, invalid_argument
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import is_graph, operations, walk
from keras_slim.graph.opening import readable
from keras_slim.graph.running import run
from keras_slim.graph.stock import differs_because
from keras_slim.layers.adder import LEARNING_RATE
from keras_slim.layers.adder_twins import ADDERS, ORDINARY, adder_twin
from keras_slim.validation import check_positive

ENDS = ("first", "last")
# What undoes the scale and the sign of distances.
NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)

# Averages of distances are far from zero: with Keras's 0.99 they would take hundreds of steps to get there.
MOMENTUM = 0.9


def adderize(
    model: keras.Model,
    skip: Iterable[str] = ENDS,
    batch_normalization: bool = True,
    local_learning_rate: float | None = LEARNING_RATE,
) -> keras.Model:
    """Returns a copy of a model with adder layers for convolutions and dense layers.

    `Conv1D`, `Conv2D`, `DepthwiseConv2D` and `Dense` become their twins in `keras_slim.layers`, with the same config
    and name, in models inside the model too. The others, such as `SeparableConv2D`, and layers inside a wrapper such as
    `TimeDistributed`, stay as they are. The copy is to be trained: adder kernels start as in the paper, from a normal
    distribution of variance 1, whatever initializer the layer had. All other layers keep their weights, but for the
    normalization right behind an adder layer, whose statistics are those of another network.

    Distances are large and negative. Where no normalization (batch, layer or group) follows an adder layer directly,
    batch normalization is put behind it, with momentum 0.9, and the layer's activation behind that.

    Args:
        model: A Functional or built Sequential model. It is not changed.
        skip: What stays ordinary: `"first"`, the layers with no other such layer before them; `"last"`, those with none
            after them, such as the layers of the outputs; names of layers; names of models inside the model, with all
            their layers. Defaults to the first and the last, as in the paper.
        batch_normalization: Whether to add batch normalization where it is missing.
        local_learning_rate: As in `AdderConv2D`, for all adder layers.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.
        ValueError: If `skip` names what is not there, or leaves nothing to replace; if the model is not built; if there
            is a local learning rate for layers that compute in float16.

    Warns:
        SlimWarning: If layers stay as they are because they derive from a type with a twin, are quantized or have a
            low-rank adaptation. The message names them.

    Example:

    >>> import keras, keras_slim as slim
    >>> conv, dense = keras.layers.Conv2D, keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), conv(8, 3, name="stem"), conv(8, 3, activation="relu"),
    ...                           keras.layers.Flatten(), dense(10, name="head")])
    >>> [type(layer).__name__ for layer in slim.adderize(model).layers]
    ['Conv2D', 'AdderConv2D', 'BatchNormalization', 'Activation', 'Flatten', 'Dense']

    Reference:
        Chen et al. 2020, "AdderNet: Do we really need multiplications in deep learning?", arXiv 1912.13200.
    """
    model = readable(model, "adderize")
    if local_learning_rate is not None:
        check_positive(local_learning_rate, "local_learning_rate", "adderize")
    skip = _check_skip(skip, model)
    before = _layers_before(model)
    replaced = {layer for layer in before if not _stays(layer, before, skip)} - _inside(model, skip)
    if not replaced:
        expected = "to leave a layer that has a twin, of " + ", ".join(f"`{each.__name__}`" for each in ADDERS)
        hint = "With `skip=()` the first and the last of them are replaced too."
        raise ValueError(invalid_argument("skip", "adderize", expected=expected, received=skip, hint=hint))
    _check_precision(replaced, local_learning_rate)
    return _Adderizing(model, replaced, batch_normalization, local_learning_rate).copy()


def _check_skip(skip, model):
    """Returns `skip` as a tuple, or raises if it names what the model does not have."""
    expected = "'first', 'last', and names of layers"
    if isinstance(skip, str) or not isinstance(skip, Iterable):
        hint = f"Give a tuple: skip=({skip!r},)." if isinstance(skip, str) else ""
        raise TypeError(invalid_argument("skip", "adderize", expected=expected, received=skip, hint=hint))
    skip = tuple(skip)
    names = {*ENDS, *(operation.name for operation in operations(model))}
    for name in skip:
        if name not in names:
            raise ValueError(
                invalid_argument("skip", "adderize", expected=expected, received=skip, hint=did_you_mean(name, names))
            )
    return skip


def _check_precision(replaced, local_learning_rate):
    """Raises if layers that compute in float16 are to have a local learning rate."""
    halves = sorted(layer.name for layer in replaced if layer.compute_dtype == "float16")
    if halves and local_learning_rate is not None:
        expected = f"`None` for layers that compute in float16, {halves}"
        hint = "The loss scale that they need would undo it. Or build the model in 'mixed_bfloat16' or 'float32'."
        raise ValueError(
            invalid_argument(
                "local_learning_rate", "adderize", expected=expected, received=local_learning_rate, hint=hint
            )
        )


def _inside(model, names):
    """Returns the layers of those models inside a model that have one of some names."""
    models = [each for each in operations(model) if is_graph(each) and each.name in names]
    return {layer for each in models for layer in operations(each)}


def _layers_before(model):
    """Returns for each layer that has a twin those before it, on any way from the inputs."""
    before, left = {}, {}

    def call(node, given, args, kwargs):
        if is_graph(node.operation):
            return run(node.operation, given, call)
        reached = frozenset().union(*given)
        if reason := _left_because(node.operation):
            left[node.operation] = reason
        elif type(node.operation) in ADDERS:
            before[node.operation] = before.get(node.operation, frozenset()) | reached
            reached |= {node.operation}
        return [reached] * len(node.outputs)

    run(model, [frozenset()] * len(model.inputs), call)
    if left:
        names = ", ".join(f"'{layer.name}' ({reason})" for layer, reason in left.items())
        warnings.warn(f"`adderize` leaves these layers as they are: {names}.", SlimWarning, stacklevel=3)
    return before


def _left_because(layer):
    """Returns why a layer is left as it is though its type has a twin, or an empty string."""
    if not isinstance(layer, tuple(ADDERS)) or type(layer) in ORDINARY:
        return ""
    return differs_because(layer, ADDERS)


def _stays(layer, before, skip):
    is_first = not before[layer] - {layer}
    is_last = not any(layer in reached for other, reached in before.items() if other is not layer)
    return layer.name in skip or ("first" in skip and is_first) or ("last" in skip and is_last)


class _Adderizing:
    """Copies a model, and puts adder layers in place of some."""

    def __init__(self, model, replaced, batch_normalization, local_learning_rate):
        self._model = model
        self._replaced = replaced
        self._normalized, self._fresh = _normalized(model, replaced)
        self._adds = batch_normalization
        self._options = {"local_learning_rate": local_learning_rate}
        self._names = {operation.name for operation in operations(model)}

    def copy(self):
        """Returns the copy of the model, with the weights of all that stays."""
        return copy_replacing(self._model, self._in_place_of, self._fresh)

    def _in_place_of(self, operation, changes):
        """Returns an adder layer and what comes behind it, or `None` for what stays."""
        if operation not in self._replaced:
            return None
        if operation in self._normalized or not self._adds:
            return [adder_twin(operation, **self._options, **changes)]
        activation = changes.get("activation", operation.activation)
        return [adder_twin(operation, **self._options, activation=None), *self._behind(operation, activation)]

    def _behind(self, layer, activation):
        """Returns batch normalization, and an activation if the layer has one."""
        shared = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
        axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
        name = self._unused(f"{layer.name}_batch_normalization")
        behind = [keras.layers.BatchNormalization(axis, momentum=MOMENTUM, name=name, **shared)]
        if isinstance(activation, keras.layers.Layer):
            behind.append(activation)
        elif activation is not keras.activations.linear:
            name = self._unused(f"{layer.name}_activation")
            behind.append(keras.layers.Activation(activation, name=name, dtype=layer.dtype_policy))
        return behind

    def _unused(self, name):
        """Returns a name, or the name with a number where the model has it already."""
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        found = next(each for each in names if each not in self._names)
        self._names.add(found)
        return found


def _normalized(model, replaced):
    """Returns the layers whose outputs go into nothing but normalization as they are, and that normalization."""
    readers, calls = {}, {}
    for each in [model, *filter(is_graph, operations(model))]:
        ends = Counter(map(id, each.outputs))
        nodes = walk(each)
        for node in nodes:
            if node.operation in replaced:
                (output,) = node.outputs
                read = [other.operation for other in nodes if any(output is tensor for tensor in other.inputs)]
                readers.setdefault(node.operation, []).extend(read)
                calls.setdefault(node.operation, []).append(bool(read) and not ends[id(output)])
    normalized = {
        layer
        for layer, read in readers.items()
        if layer.activation is keras.activations.linear
        and all(calls[layer])
        and all(isinstance(other, NORMALIZATIONS) for other in read)
    }
    return normalized, {other for layer in normalized for other in readers[layer]}

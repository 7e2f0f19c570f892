"""From a network of products to one of differences: adder layers where a model has convolutions and dense layers."""

from collections import Counter
from collections.abc import Iterable

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import is_graph, operations, walk
from keras_slim.graph.opening import readable
from keras_slim.layers.adder import LEARNING_RATE
from keras_slim.layers.adder_twins import ADDERS, adder_twin
from keras_slim.rewriting.names import Names
from keras_slim.rewriting.skipping import ENDS, layers_to_replace
from keras_slim.validation import check_positive

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
    replaced = layers_to_replace(model, ADDERS, skip, "adderize")
    _check_precision(replaced, local_learning_rate)
    return _Adderizing(model, replaced, batch_normalization, local_learning_rate).copy()


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


class _Adderizing:
    """Copies a model, and puts adder layers in place of some."""

    def __init__(self, model, replaced, batch_normalization, local_learning_rate):
        self._model = model
        self._replaced = replaced
        self._normalized, self._fresh = _normalized(model, replaced)
        self._adds = batch_normalization
        self._options = {"local_learning_rate": local_learning_rate}
        self._names = Names(model)

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
        name = self._names.unused(f"{layer.name}_batch_normalization")
        behind = [keras.layers.BatchNormalization(axis, momentum=MOMENTUM, name=name, **shared)]
        if isinstance(activation, keras.layers.Layer):
            behind.append(activation)
        elif activation is not keras.activations.linear:
            name = self._names.unused(f"{layer.name}_activation")
            behind.append(keras.layers.Activation(activation, name=name, dtype=layer.dtype_policy))
        return behind


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

"""Batch normalization folded into the layers before it, as converters for phones do it."""

import warnings
from collections import Counter

import keras
import numpy as np

from keras_slim.errors import SlimWarning
from keras_slim.graph.copying import copied, copy_replacing
from keras_slim.graph.nodes import is_graph, operations, walk
from keras_slim.graph.opening import readable
from keras_slim.graph.stock import differs_because
from keras_slim.layers.adder import Adder
from keras_slim.layers.quantized import Quantized

TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
LINEAR = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    *TRANSPOSED,
    *DEPTHWISE,
    *SEPARABLE,
)


def fold_batch_normalization(model: keras.Model) -> keras.Model:
    """Returns a copy of a model with batch normalization folded into its layers.

    Where a convolution or a dense layer without an activation goes into a batch normalization and nowhere else, the
    two are one layer, whose kernel and bias are

    `w' = w * gamma / sqrt(variance + epsilon)`, `b' = beta + (b - mean) * gamma / sqrt(variance + epsilon)`.

    The copy answers as the model does, is smaller, and computes less. Converters for phones fold in the same way.
    That is why to fold first, before weights share values (`share_weights`) for a float32 file: folded afterwards, each
    channel has a scale of its own, and values of a kernel become as many in each channel. The price is that the copy
    trains on without normalization.

    Folded are all ordinary, transposed, depthwise and separable convolutions of Keras, and `Dense`, in models inside
    the model too. Zeros stay zero. The layer keeps its name, precision, constraints and regularizers.

    A batch normalization stays if it is anywhere else, normalizes another axis than the channels, is given a mask, is
    called more than once or in training mode, computes in another precision than the layer before, or if that is called
    more than once.

    Args:
        model: A Functional or built Sequential model. It is not changed.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional. If there is nothing to fold, it is no
        different.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.
        ValueError: If the model is not built.

    Warns:
        SlimWarning: If a batch normalization stays because it, or the layer before, derives from a type of Keras, or
            because the layer is quantized or has a low-rank adaptation, or because a folded weight would not be
            finite. The message names them.

    Example:

    >>> import keras, keras_slim as slim
    >>> conv, norm = keras.layers.Conv2D(8, 3, use_bias=False), keras.layers.BatchNormalization()
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), conv, norm, keras.layers.ReLU()])
    >>> folded = slim.fold_batch_normalization(model)
    >>> [type(layer).__name__ for layer in folded.layers], folded.layers[0].use_bias
    (['Conv2D', 'ReLU'], True)

    Reference:
        Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
        Inference", arXiv 1712.05877, equation 14.
    """
    model = readable(model, "fold_batch_normalization")
    weights, gone = _plan(model)
    made = {}

    def in_place_of(operation, changes):
        if operation in weights:
            made[operation] = copied(operation, use_bias=True)
            return [made[operation]]
        return [] if operation in gone else None

    copy = copy_replacing(model, in_place_of)
    for layer, values in weights.items():
        for variable in made[layer].weights:
            variable.assign(values[variable.name])
    return copy


def _plan(model):
    """Returns the folded weights of layers, by layer and name, and the batch normalizations that are left out."""
    weights, gone, left = {}, set(), {}
    for layer, norm in normalized_layers(model):
        reason = differs_because(layer, LINEAR) or differs_because(norm, (keras.layers.BatchNormalization,))
        if not reason:
            folded = _folded(layer, norm)
            if all(np.isfinite(value).all() for value in folded.values()):
                weights[layer] = folded
                gone.add(norm)
            else:
                reason = f"folded weights would not be finite in {layer.variable_dtype}"
        if reason:
            left[layer] = reason
    if left:
        names = ", ".join(f"'{layer.name}' ({reason})" for layer, reason in left.items())
        text = f"`fold_batch_normalization` leaves the batch normalization behind these layers: {names}."
        warnings.warn(text, SlimWarning, stacklevel=3)
    return weights, gone


def normalized_layers(model):
    """Yields linear layers, each with the batch normalization of its channels into which alone its output goes."""
    graphs = {each: walk(each) for each in (model, *filter(is_graph, operations(model)))}
    calls = Counter(node.operation for nodes in graphs.values() for node in nodes)
    in_training = _in_training(graphs)
    for graph, nodes in graphs.items():
        readers = Counter(
            id(tensor) for tensors in (graph.outputs, *(node.inputs for node in nodes)) for tensor in tensors
        )
        producers = {id(tensor): node.operation for node in nodes for tensor in node.outputs}
        for node in nodes:
            norm = node.operation
            if isinstance(norm, keras.layers.BatchNormalization) and norm not in in_training and len(node.inputs) == 1:
                (tensor,) = node.inputs
                layer = producers[id(tensor)]
                is_alone = readers[id(tensor)] == calls[layer] == calls[norm] == 1
                if is_alone and _is_linear(layer) and _fits(norm, layer, len(tensor.shape)):
                    yield layer, norm


def _in_training(graphs):
    """Returns the operations that are called in training mode, whatever the mode of the model."""
    found = set()
    for node in (node for nodes in graphs.values() for node in nodes):
        if node.kwargs.get("training"):
            found |= {node.operation, *(operations(node.operation) if is_graph(node.operation) else ())}
    return found


def _is_linear(layer):
    of_its_own = isinstance(layer, Adder | Quantized)  # of rounded weights, the folded ones would be others
    return isinstance(layer, LINEAR) and not of_its_own and layer.activation is keras.activations.linear


def _fits(norm, layer, rank):
    """Tells whether a batch normalization has one scale for each channel of a layer, and the same precision."""
    channels = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
    return norm.axis % rank == channels and norm.compute_dtype == layer.compute_dtype


def _folded(layer, norm):
    """Returns the weights of a layer that does what it and a batch normalization do, by name."""
    values = {variable.name: keras.ops.convert_to_numpy(variable) for variable in layer.weights}
    name = "pointwise_kernel" if isinstance(layer, SEPARABLE) else "kernel"
    kernel, bias = (np.asarray(each, "float64") for each in (values[name], values.get("bias", 0)))
    scale = scale_of(norm)
    bias = (bias - _precise(norm.moving_mean)) * scale
    if norm.center:
        bias = bias + _precise(norm.beta)
    dtype = values[name].dtype
    with np.errstate(over="ignore", invalid="ignore"):
        kernel = (kernel * _along_channels(scale, layer, kernel.shape)).astype(dtype)
        kernel[kernel == 0] = 0  # not -0.0, which is another number in a file
        return {**values, name: kernel, "bias": bias.astype(dtype)}


def scale_of(norm: keras.layers.BatchNormalization) -> np.ndarray:
    """Returns what a batch normalization multiplies each channel with, outside training."""
    scale = 1 / np.sqrt(_precise(norm.moving_variance) + norm.epsilon)
    return scale * _precise(norm.gamma) if norm.scale else scale


def _along_channels(scale, layer, shape):
    """Returns the scale of each output channel, in a shape that goes with that of a kernel."""
    if isinstance(layer, DEPTHWISE):
        return scale.reshape(shape[-2:])
    return scale[:, np.newaxis] if isinstance(layer, TRANSPOSED) else scale


def _precise(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")

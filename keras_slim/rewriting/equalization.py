"""Ranges of neighbouring layers evened out, so that one scale for all channels of a kernel rounds each as finely."""

import warnings

import keras
import numpy as np

from keras_slim.errors import SlimWarning
from keras_slim.graph.nodes import operations
from keras_slim.graph.opening import readable
from keras_slim.rewriting.folding import LINEAR, fold_batch_normalization
from keras_slim.rewriting.kernel_joints import found_joints, left_because
from keras_slim.rewriting.skipping import tell_of_left

MOST_SWEEPS = 200
STILL = 1e-4  # change of the logarithm of a scale that is none
SMALLEST = 1e-6  # of the largest range in a joint: a channel with less is as good as not there


def equalize(model: keras.Model) -> keras.Model:
    """Returns a copy of a model that answers the same, with ranges evened out.

    Where one scale serves a whole kernel, a channel with small weights is rounded away for one with large ones. Between
    two layers with nothing but ReLU or the like, a channel can be divided by `s` in the first and multiplied by it in
    the second. With `r1` and `r2` its largest weights in the two,

    `s = sqrt(r1 / r2)`, so that both become `sqrt(r1 r2)`.

    Batch normalization is folded first, as by `fold_batch_normalization`. Then all places between layers are gone
    through until nothing moves any more. It needs no data. It helps where each kernel is rounded with one scale, above
    all depthwise ones, and not where each channel has its own, as in `export_tflite(..., "int8")`.

    Scaled is between all convolutions of Keras (also in groups, transposed, depthwise, inside of separable ones) and
    `Dense`, through `ReLU`, `LeakyReLU`, `PReLU`, pooling, sums, joins, padding and reshaping; channels that meet in a
    sum have one scale. Not through ReLU6, sigmoid, ELU or the like, a batch normalization that cannot be folded, or a
    product; nor where a layer is called more than once, derives from one of Keras or is quantized, nor at inputs and
    outputs of the model. `keras_slim.rewriting.joints` tells of each place. Channels without weights at one end stay.

    Args:
        model: A Functional, built Sequential or subclassed model. It is not changed.

    Returns:
        The copy, not compiled: Sequential if the model is, else Functional.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If the model decides in its own code which layers it calls, or a layer cannot be copied.
        ValueError: If the model is not built.

    Warns:
        SlimWarning: If layers stay as they are because they derive from a type of Keras, as those with few bits and
            adder layers do, are quantized by Keras or have a low-rank adaptation. The message names them.

    Example:

    >>> import keras, numpy as np, keras_slim as slim
    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((2,)), dense(2, "relu"), dense(1)])
    >>> model.set_weights([np.array([[8.0, 0.5], [0, 0]]), np.zeros(2), np.array([[2.0], [2.0]]), np.zeros(1)])
    >>> [layer.kernel.numpy().round(3).tolist() for layer in slim.equalize(model).layers]
    [[[4.0, 1.0], [0.0, 0.0]], [[4.0], [1.0]]]

    Reference:
        Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", arXiv 1906.04721,
        equation 11.
    """
    model = readable(model, "equalize")
    linear = (each for each in operations(model) if isinstance(each, LINEAR))
    tell_of_left({each: reason for each in linear if (reason := left_because(each))}, "equalize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlimWarning)  # told above, in the name of this function
        copy = fold_batch_normalization(model)
    free = [joint for joint in found_joints(copy) if len(joint.units)]
    _Scaling(free).assign()
    return copy


class _Scaling:
    """Finds a scale for each unit of each joint, and gives it to the weights.

    Args:
        joints: The joints with units that can be scaled.
    """

    def __init__(self, joints):
        self._kernels = dict.fromkeys(kernel for joint in joints for kernel in (*joint.before, *joint.after))
        self._sizes = {kernel: _largest(kernel.variable) for kernel in self._kernels}
        self._scales = np.ones(max((joint.units.max() for joint in joints), default=0) + 2)  # the last one: of no unit
        for _ in range(MOST_SWEEPS):
            if max(map(self._even_out, joints), default=0) < STILL:
                break

    def _even_out(self, joint):
        """Scales a joint so that ranges before and after are equal; returns how far that was, as a logarithm."""
        before = self._ranges([(kernel, kernel.outputs) for kernel in joint.before], joint.units)
        after = self._ranges([(kernel, kernel.inputs) for kernel in joint.after], joint.units)
        is_there = (before > SMALLEST * before.max()) & (after > SMALLEST * after.max())
        scale = np.sqrt(before[is_there] / after[is_there])
        self._scales[joint.units[is_there]] *= scale
        return np.abs(np.log(scale)).max(initial=0)

    def _ranges(self, ends, units):
        """Returns the largest weight of units at one end of a joint, as they are scaled now."""
        ranges = np.zeros_like(self._scales)
        for kernel, of_elements in ends:
            size = self._sizes[kernel] * self._factor(kernel)
            positions = np.atleast_2d(self._positions(of_elements))
            others = tuple(axis for axis, count in enumerate(positions.shape) if count == 1)
            size = size.max(axis=others, keepdims=True)
            np.maximum.at(ranges, np.broadcast_to(positions, size.shape), size)
        return ranges[units]

    def _positions(self, units):
        """Returns where the scales of units are; of those that have none, the last one."""
        return np.where(units < len(self._scales) - 1, units, -1)

    def _factor(self, kernel):
        """Returns what a kernel is multiplied by."""
        before, after = (self._scales[self._positions(units)] for units in (kernel.inputs, kernel.outputs))
        return before / after

    def assign(self):
        """Scales the weights."""
        for kernel in self._kernels:
            _multiply(kernel.variable, self._factor(kernel))
            if kernel.bias is not None:
                scale = self._scales[self._positions(kernel.outputs)]
                _multiply(kernel.bias, 1 / scale.reshape(kernel.bias.shape))


def _largest(kernel):
    """Returns the sizes of a kernel, the largest of all places that it lies over."""
    size = np.abs(keras.ops.convert_to_numpy(kernel).astype(float))
    return size.max(axis=tuple(range(size.ndim - 2)))


def _multiply(variable, factor):
    variable.assign(keras.ops.convert_to_numpy(variable).astype(float) * factor)

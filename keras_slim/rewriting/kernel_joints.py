"""Where a channel can be scaled between two layers, and scaled back in the next, so that the answers stay."""

import dataclasses

import keras
import numpy as np

from keras_slim.graph.analysis import Trace, roots
from keras_slim.graph.call import LayerCall
from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.connected import components
from keras_slim.graph.nodes import is_graph
from keras_slim.graph.opening import readable
from keras_slim.graph.registry import find_rule
from keras_slim.graph.stock import differs_because
from keras_slim.layers.adder import Adder
from keras_slim.layers.quantized import Quantized
from keras_slim.rewriting.folding import DEPTHWISE, LINEAR, SEPARABLE, TRANSPOSED
from keras_slim.rewriting.homogeneous import JOINS, MERGES, has_homogeneous_activation, is_homogeneous


@dataclasses.dataclass(frozen=True)
class JointDescription:
    """Layers between which the scales of channels are free, or are not.

    Args:
        before: Paths of the layers that compute the channels: `("encoder/dense",)`.
        after: Paths of the layers that read them.
        channels: How many channels can be scaled, each by a number of its own.
        why: Why none can, a phrase; empty if some can.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    channels: int
    why: str

    def __str__(self):
        told = f"left, {self.why}" if self.why else f"{self.channels} channels"
        return f"{', '.join(self.before)} -> {', '.join(self.after)}: {told}"


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel between two joints.

    Args:
        layer: The layer it belongs to.
        path: The layer's name, after those of the models around it.
        variable: The weight.
        bias: What is added to the channels that it makes, or `None`.
        inputs: For each element, the unit that it reads, in a shape that goes with the kernel's; `WHOLE` for none.
        outputs: For each element, the unit that it adds to, likewise.
    """

    layer: keras.layers.Layer
    path: str
    variable: keras.Variable
    bias: keras.Variable | None
    inputs: np.ndarray
    outputs: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Joint:
    """What lies between kernels.

    Args:
        before: The `Kernel`s that compute its units.
        after: The `Kernel`s that read them.
        units: The units that can be scaled, ascending: equal channels of several layers are one.
        why: Why there are none, empty if there are.
    """

    before: tuple[Kernel, ...]
    after: tuple[Kernel, ...]
    units: np.ndarray
    why: str


def joints(model: keras.Model) -> tuple[JointDescription, ...]:
    """Tells between which layers `equalize` evens ranges out, or why it cannot.

    Print each for a line. A batch normalization that `fold_batch_normalization` takes away is no obstacle: fold first.

    Args:
        model: A Functional, built Sequential or subclassed model.

    Returns:
        A `JointDescription` of each place between layers with kernels, in the order of the model.

    Raises:
        TypeError: If `model` is not a Keras model.
        UnsupportedLayerError: If the model decides in its own code which layers it calls.
        ValueError: If the model is not built.

    Example:

    >>> import keras, keras_slim as slim
    >>> dense = keras.layers.Dense
    >>> stack = [dense(8, "relu", name="a"), dense(6, "sigmoid", name="b"), dense(2, name="c")]
    >>> print(*slim.rewriting.joints(keras.Sequential([keras.Input((4,)), *stack])), sep="\\n")
    a -> b: 8 channels
    b -> c: left, the activation of 'b' is not homogeneous
    """
    model = readable(model, "joints")
    found = (each for each in found_joints(model) if each.before[0].layer is not each.after[0].layer)
    return tuple(
        JointDescription(
            before=tuple(dict.fromkeys(kernel.path for kernel in joint.before)),
            after=tuple(dict.fromkeys(kernel.path for kernel in joint.after)),
            channels=len(joint.units),
            why=joint.why,
        )
        for joint in found
    )


def found_joints(model: keras.Model) -> list[Joint]:
    """Returns the joints of a model that have kernels at both ends, in its order.

    Args:
        model: A Functional or built Sequential model.
    """
    trace = _Trace()
    outputs = trace.model(model, [Channels(tuple(tensor.shape)) for tensor in model.inputs])
    trace.bar("its channels are an output of the model", *outputs)
    return trace.joints()


def left_because(layer: keras.layers.Layer) -> str:
    """Returns why the kernels of a layer cannot be scaled, or an empty string if they can."""
    if isinstance(layer, Adder | Quantized):
        return f"`{type(layer).__name__}` does not multiply by its weights as they are"
    return differs_because(layer, LINEAR)


class _Trace(Trace):
    """Follows channels from kernel to kernel, and bars those on whose way something hands no scale on."""

    def __init__(self):
        super().__init__()
        self._kernels: list[Kernel] = []
        self._given: dict = {}  # by layer with a kernel, what it is given at its calls
        self._barred: list = []  # atoms, and why

    def bar(self, why, *channels):
        """States why channels cannot be scaled."""
        self._barred += [(each.all(), why) for each in channels]

    def call(self, node, prefix):
        """Returns the channels of a call's outputs, one `Channels` each."""
        layer, given = node.operation, [self.channels[id(tensor)] for tensor in node.inputs]
        if is_graph(layer) and find_rule(layer) is None:
            return super().call(node, prefix)
        if not isinstance(layer, LINEAR):
            made = super().call(node, prefix)
            if not is_homogeneous(layer):
                self.bar(f"'{layer.name}' is not homogeneous", *given, *made)
            elif not self._is_alike(layer, given, made):
                self.bar(f"'{layer.name}' joins what cannot be scaled alike", *given, *made)
            return made
        made = self._from_kernel_to_kernel(LayerCall(node, prefix + layer.name, given, self.record))
        self._given.setdefault(layer, []).extend(given)
        why = left_because(layer) or ("it is called more than once" if len(self._given[layer]) > 1 else "")
        if why:
            own = [each.outputs for each in self._kernels if each.layer is layer]
            self.bar(f"of '{layer.name}', {why}", *self._given[layer])
            self._barred += [(atoms.ravel(), f"of '{layer.name}', {why}") for atoms in own]
        if not has_homogeneous_activation(layer):
            self.bar(f"the activation of '{layer.name}' is not homogeneous", *made)
        return made

    def _is_alike(self, layer, given, made):
        """Tells whether all that meets in a call has the same channels at the same places, and is no constant."""
        if type(layer).__name__ in JOINS:
            return True
        is_merge = type(layer).__name__ in MERGES
        sizes = {tuple((axis, len(atoms)) for axis, atoms in sorted(each.axes.items())) for each in (*given, *made)}
        return not is_merge or (len(given) > 1 and len(sizes) == 1)

    def _from_kernel_to_kernel(self, call):
        """Takes in the kernels of a call, and returns the channels of its outputs, which are its own."""
        layer, (given,) = call.layer, call.inputs
        axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
        others = {each: atoms for each, atoms in given.axes.items() if each != axis % len(given.shape)}
        self.bar(f"'{layer.name}' meets channels along other axes", Channels(given.shape, others))
        atoms, kernels = given.along(axis), _kernels(layer)
        for number, (variable, inputs, outputs) in enumerate(kernels, 1):
            is_last = number == len(kernels)
            made = call.new_units(outputs.size, "output" if is_last else f"kernel {number}")
            bias = layer.bias if is_last else None
            self._kernels.append(Kernel(layer, call.path, variable, bias, atoms[inputs], made[outputs]))
            atoms = made
        return [call.output({axis: atoms})]

    def joints(self):
        """Returns the joints, in the order of the layers before them."""
        root = roots(self.record)
        whys: dict = {}
        for atoms, why in (*self._barred, *((atoms, why) for atoms, _, why in self.record.wholes)):
            for atom in np.unique(root[atoms[atoms != WHOLE]]).tolist():
                whys.setdefault(atom, why)
        table = np.append(root, WHOLE)
        kernels = [
            dataclasses.replace(each, inputs=table[each.inputs], outputs=table[each.outputs]) for each in self._kernels
        ]
        return list(_joined(kernels, whys, len(root)))


def _joined(kernels, whys, count):
    """Yields the joints of kernels: units that meet in one end of a kernel lie in one joint."""
    ends = [np.unique(units[units != WHOLE]) for each in kernels for units in (each.inputs, each.outputs)]
    pairs = (np.concatenate([np.zeros(0, int), *(each[part] for each in ends)]) for part in (np.s_[:-1], np.s_[1:]))
    joint = components(count, *pairs)
    computed = _by_joint(kernels, ends[1::2], joint)
    read = _by_joint(kernels, ends[::2], joint)
    for number, before in computed.items():
        if number in read:
            after = read[number]
            both = [np.unique(np.concatenate([units for _, units in some])) for some in (before, after)]
            units = np.intersect1d(*both)
            free = np.array([unit for unit in units.tolist() if unit not in whys], int)
            why = "" if len(free) else next((whys[unit] for unit in units.tolist() if unit in whys), "")
            yield Joint(*(tuple(kernel for kernel, _ in some) for some in (before, after)), free, why)


def _by_joint(kernels, ends, joint):
    """Returns from a joint to the kernels with an end there, each with its units."""
    found: dict = {}
    for kernel, units in zip(kernels, ends, strict=True):
        if len(units):
            found.setdefault(int(joint[units[0]]), []).append((kernel, units))
    return found


def _kernels(layer):
    """Returns the kernels of a layer, one after the other, and for their elements the input and the output channel."""
    if not isinstance(layer, SEPARABLE):
        return [(layer.kernel, *_channels(layer))]
    *_, inner, filters = layer.pointwise_kernel.shape
    depthwise = _of_depthwise(layer.depthwise_kernel.shape)
    pointwise = np.arange(inner)[:, np.newaxis], np.arange(filters)
    return [(layer.depthwise_kernel, *depthwise), (layer.pointwise_kernel, *pointwise)]


def _channels(layer):
    """Returns the input and the output channel of the elements of a kernel, in shapes that go with its own."""
    *_, rows, columns = layer.kernel.shape
    if isinstance(layer, DEPTHWISE):
        return _of_depthwise(layer.kernel.shape)
    if isinstance(layer, TRANSPOSED):
        return np.arange(columns), np.arange(rows)[:, np.newaxis]
    group = np.arange(columns) // (columns // getattr(layer, "groups", 1))
    return np.arange(rows)[:, np.newaxis] + rows * group, np.arange(columns)


def _of_depthwise(shape):
    *_, rows, columns = shape
    return np.arange(rows)[:, np.newaxis], np.arange(rows * columns).reshape(rows, columns)

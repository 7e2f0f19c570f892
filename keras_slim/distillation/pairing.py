"""Which layer of a convolutional teacher belongs to which adder layer of a student."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import keras

from keras_slim.errors import UnsupportedLayerError, did_you_mean, invalid_argument
from keras_slim.graph.endpoints import endpoints
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.layers.adder import Adder
from keras_slim.layers.adder_twins import ADDERS, ORDINARY, ordinary_twin
from keras_slim.reinitialization import fresh_clone

OWNER = "ProgressiveKernelDistillation"


@dataclass(frozen=True, eq=False)
class LayerPair:
    """An adder layer and the layer that teaches it.

    Args:
        student: The adder layer.
        teacher: The layer of the teacher.
        student_outputs: What the adder layer puts out, symbolic, one tensor for each call.
        teacher_outputs: The same of the teacher's layer, as many.
        axis: Axis of the channels of both.
    """

    student: keras.layers.Layer
    teacher: keras.layers.Layer
    student_outputs: tuple[keras.KerasTensor, ...]
    teacher_outputs: tuple[keras.KerasTensor, ...]
    axis: int


def convolutional_twin(student: keras.Model) -> keras.Model:
    """Returns the network of a student with convolutions and dense layers for adder layers, all weights drawn anew.

    Example:

    >>> from keras_slim.layers import AdderDense
    >>> twin = convolutional_twin(keras.Sequential([keras.Input((4,)), AdderDense(2, name="a")]))
    >>> type(twin.get_layer("a")).__name__
    'Dense'
    """
    # A copy of a compiled model would be compiled too; this view of it is not.
    view = keras.Model(*endpoints(student), name=f"{student.name}_teacher")
    return fresh_clone(view, replace=lambda layer: ordinary_twin(layer) if type(layer) in ORDINARY else None)


def pair_layers(
    student: keras.Model, teacher: keras.Model, layer_names: Mapping[str, str] | Iterable[str] | None = None
) -> list[LayerPair]:
    """Returns the adder layers of a student, each with its layer of the teacher.

    Args:
        student: The adder network.
        teacher: The network that teaches it.
        layer_names: Names of adder layers, those of the teacher the same; or a dictionary from one to the other.
            Defaults to all without an activation inside, if the two networks have the same convolutions and dense
            layers in the same order.

    Raises:
        UnsupportedLayerError: If the student has no adder layer that can be taught.
        ValueError: If a layer is missing, or two do not fit together.
    """
    ours, theirs = _calls(student), _calls(teacher)
    if not any(type(layer) in ORDINARY for layer in ours):
        derived = [
            f"'{layer.name}' (`{type(layer).__name__}` derives from one and may compute something else)"
            for layer in ours
            if isinstance(layer, Adder)
        ]
        raise UnsupportedLayerError(
            f"The student '{student.name}' has no adder layers. Expected at least one of `keras_slim.layers`. "
            f"Received: {', '.join(derived) or 'none'}. "
            "Make an adder network of a convolutional one with `keras_slim.adderize(model)`."
        )
    named = layer_names is not None
    layers = _named(_by_student(layer_names), ours, theirs) if named else _in_order(student, ours, theirs)
    return [_pair(one, other, ours[one], theirs[other]) for one, other in layers]


def _calls(model):
    """Returns the outputs of the layers of a model and of the models inside it, one for each call, by layer."""
    calls = {}
    for node in walk(model):
        is_inside = is_graph(node.operation)
        found = _calls(node.operation) if is_inside else {node.operation: list(node.outputs)}
        for layer, outputs in found.items():
            known = calls.setdefault(layer, [])
            known += [each for each in outputs if id(each) not in map(id, known)]
    return {layer: outputs for layer, outputs in calls.items() if isinstance(layer, keras.layers.Layer)}


def _in_order(student, ours, theirs):
    """Returns pairs of the layers that have twins, in order, those that are adder layers in the student alone."""
    ours, theirs = ([layer for layer in calls if type(layer) in (*ADDERS, *ORDINARY)] for calls in (ours, theirs))
    if [_kind(layer) for layer in ours] != [_kind(layer) for layer in theirs]:
        raise ValueError(
            f"The teacher does not have the layers of the student '{student.name}' in the same order. Expected "
            f"{[f'{layer.name} ({_kind(layer)})' for layer in ours]}. "
            f"Received: {[f'{layer.name} ({_kind(layer)})' for layer in theirs]}. "
            "Tell which belong together: layer_names={'name in the student': 'name in the teacher'}."
        )
    pairs = zip(ours, theirs, strict=True)
    pairs = [(one, other) for one, other in pairs if type(one) in ORDINARY]
    if all(type(other) in ORDINARY for _, other in pairs):
        raise UnsupportedLayerError(
            f"The teacher has nothing to teach the layers of the student '{student.name}': "
            f"{[one.name for one, _ in pairs]} are adder layers in the teacher too. Expected a convolution or a dense "
            "layer in place of at least one of them. Leave `teacher` away to have it made from the student."
        )
    pairs = [(one, other) for one, other in pairs if type(other) in ADDERS]
    sums = [pair for pair in pairs if not any(map(_has_activation, pair))]
    if not sums:
        raise UnsupportedLayerError(
            f"No adder layer of the student '{student.name}' can be paired with a convolution or a dense layer of the "
            f"teacher: {[(one.name, other.name) for one, other in pairs]} have an activation inside, which hides the "
            "distances or the products. Put batch normalization behind the layer and the activation behind that, as "
            "`keras_slim.adderize` does, and leave the teacher to be made from the student."
        )
    return sums


def _kind(layer):
    """Returns the name of the type a layer has among convolutions."""
    return ORDINARY.get(type(layer), type(layer)).__name__


def _has_activation(layer):
    return getattr(layer, "activation", None) not in (None, keras.activations.linear)


def _by_student(names):
    """Returns a dictionary from names in the student to names in the teacher."""
    pairs = []
    if isinstance(names, Iterable) and not isinstance(names, str):
        pairs = [*names.items()] if isinstance(names, Mapping) else [(name, name) for name in names]
    if not pairs or not all(isinstance(name, str) for pair in pairs for name in pair):
        expected = "names of layers, or a dictionary from names in the student to names in the teacher"
        raise TypeError(invalid_argument("layer_names", OWNER, expected=expected, received=names))
    return dict(pairs)


def _named(names, ours, theirs):
    pairs = []
    for pair in names.items():
        layers = []
        for name, calls, where in zip(pair, (ours, theirs), ("student", "teacher"), strict=True):
            found = {layer.name: layer for layer in calls}
            if name not in found:
                hint = did_you_mean(name, found)
                expected = f"names of layers, here of the {where}"
                raise ValueError(invalid_argument("layer_names", OWNER, expected=expected, received=names, hint=hint))
            layers.append(found[name])
        if type(layers[0]) not in ORDINARY or any(map(_has_activation, layers)):
            expected = f"adder layers, and layers without an activation inside. {pair} is no such pair"
            raise ValueError(invalid_argument("layer_names", OWNER, expected=expected, received=names))
        pairs.append(tuple(layers))
    return pairs


def _pair(one, other, ours, theirs):
    """Returns the pair of two layers, or raises if they are not called alike or put out other shapes."""
    axis = 1 if getattr(one, "data_format", None) == "channels_first" else -1
    shapes = [[tuple(tensor.shape) for tensor in outputs] for outputs in (ours, theirs)]
    places = [[_without(shape, axis) for shape in each] for each in shapes]
    if places[0] != places[1]:
        raise ValueError(
            f"Layers '{one.name}' of the student and '{other.name}' of the teacher cannot be compared. Expected "
            f"outputs of the same shape, but for the number of channels, in as many calls. Received: {shapes[0]} and "
            f"{shapes[1]}. Name other layers in `layer_names`."
        )
    return LayerPair(one, other, tuple(ours), tuple(theirs), axis)


def _without(shape, axis):
    """Returns a shape without one axis."""
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]

"""What an operation reads, tensors and constant arrays alike, and what follows where their axes meet."""

import itertools
from dataclasses import dataclass

import keras
import numpy as np

from keras_slim.graph.channels import WHOLE, Channels


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor or a constant array that a call is given.

    Args:
        channels: Its channels; an array has no units of its own.
        argument: Where an array stands, as in `LayerCall.constant`; `None` for a tensor.
        leaf: Which of the arguments it is, once these are laid out flat; of a list of numbers the first.
    """

    channels: Channels
    argument: tuple | None = None
    leaf: int | None = None

    def follow(self, call, axis, atoms):
        """States that these atoms run along an axis: a tensor's own are tied to them, an array is cut like them."""
        if self.argument is None:
            call.tie(atoms, self.channels.along(axis))
        else:
            call.constant(self.argument, axis, atoms)


def operands(call):
    """Returns the tensors and constants that a call is given, flat, in the order of the arguments."""
    tensors, leaves = iter(call.inputs), itertools.count()
    arguments = [*enumerate(call.node.args), *sorted(call.node.kwargs.items())]
    return [operand for place, value in arguments for operand in _operands(value, (place,), tensors, leaves)]


def _operands(value, place, tensors, leaves):
    if isinstance(value, keras.KerasTensor):
        return [Operand(next(tensors), leaf=next(leaves))]
    flat = keras.tree.flatten(value)
    if any(isinstance(leaf, keras.KerasTensor) for leaf in flat):
        return [each for index, item in enumerate(value) for each in _operands(item, (*place, index), tensors, leaves)]
    first = min([next(leaves) for _ in flat], default=None)
    return [] if value is None else [Operand(Channels(tuple(np.shape(value))), place, first)]


def meet(call, places, size):
    """States that axes of several operands meet, element by element, in one axis of the output.

    Units at equal positions go together; a size of one is broadcast over the others and stays.

    Args:
        call: The `LayerCall`.
        places: Pairs of an operand and a non-negative axis of it.
        size: Size of the axis of the output.

    Returns:
        The atoms along the axis of the output, or `None` if there are none.
    """
    meeting = [(operand, axis) for operand, axis in places if operand.channels.shape[axis] == size]
    others = [(operand, axis) for operand, axis in places if operand.channels.shape[axis] != size]
    for operand, axis in others:
        call.keep_whole(operand.channels.along(axis), "it is broadcast over other channels")
    tracked = [operand.channels.axes[axis] for operand, axis in meeting if axis in operand.channels.axes]
    if not tracked:
        return None
    atoms = next((atoms for atoms in tracked if (atoms != WHOLE).any()), tracked[0])
    for operand, axis in meeting:
        operand.follow(call, axis, atoms)
    if any(operand.channels.shape[axis] is None for operand, axis in others):
        call.keep_whole(atoms, "it meets an axis of unknown size")
    return atoms


def sum_over(call, places):
    """States that axes of several operands meet, element by element, and that what they make is summed over.

    Units at equal positions go together: what is left of them is all that is summed. They stay whole where they meet
    other sizes, or a tensor without units.

    Args:
        call: The `LayerCall`.
        places: As in `meet`.
    """
    tensors = [operand.channels.along(axis) for operand, axis in places if operand.argument is None]
    sizes = {operand.channels.shape[axis] for operand, axis in places}
    is_free = len(sizes) == 1 and all((atoms != WHOLE).any() for atoms in tensors)
    for operand, axis in places:
        atoms = tensors[0] if is_free else np.full(operand.channels.shape[axis] or 0, WHOLE)
        if is_free:
            operand.follow(call, axis, atoms)
        else:
            whole = operand.channels.along(axis)
            call.keep_whole(whole, "a product sums over them, and not all that it multiplies can be cut alike")
        call.statistics(axis, atoms, operand.leaf)


def broadcast(call, given):
    """Returns the channels of an output that is computed element by element, under NumPy's rules of broadcasting."""
    shape = call.output_shapes[0]
    axes = {}
    for axis in range(-len(shape), 0):
        places = [(each, axis % len(each.channels.shape)) for each in given if len(each.channels.shape) >= -axis]
        axes[axis] = meet(call, places, shape[axis])
    return call.output({axis: atoms for axis, atoms in axes.items() if atoms is not None})


def join(call, given, joined):
    """Returns the channels of an output in which operands lie one after the other along an axis."""
    shape = call.output_shapes[0]
    joined %= len(shape)
    axes = {axis: meet(call, [(each, axis) for each in given], shape[axis]) for axis in range(len(shape))
            if axis != joined}  # fmt: skip
    parts = [each.channels.along(joined) for each in given]
    if shape[joined] is None:
        for atoms in parts:
            call.keep_whole(atoms, "the size of the joined axis is not known")
    elif any(joined in each.channels.axes for each in given):
        axes[joined] = np.concatenate(parts)
    return call.output({axis: atoms for axis, atoms in axes.items() if atoms is not None})

"""A model and its twin carried through data side by side, call by call, to wherever they are looked at.

Weights that are set where they have come to count for all that comes after, so each call is made once for each sample,
however often they are looked at. What both networks hold for the calls to come is kept for as many samples as memory
allows. Where these are not all, as with large images, the others join later, where activations are smaller.
"""

import dataclasses
import math
from collections import defaultdict

import keras
import numpy as np

from keras_slim.graph.masks import masks_kept

PIECE = 0.25
"""Share of the memory that what goes into a call and comes out of it may take, beside what is held."""


@dataclasses.dataclass
class Piece:
    """Some samples on their way through both networks.

    Args:
        size: How many samples.
        share: Their share of a batch of the data.
        before: Values in the model, by their numbers in its program.
        after: Values in the twin.
        position: The next call.
    """

    size: int
    share: float
    before: dict
    after: dict
    position: int = 0


class LockStep:
    """Carries samples through two networks of one structure.

    Args:
        first: The `Program` of the model.
        second: What makes the same calls in its twin.
        batches: Function of no argument that returns an iterator over flat lists of the model's inputs.
        positions: Numbers of the calls before which both are to be looked at.
        memory: Bytes to hold at most. One sample is held in any case, and a whole batch of data that cannot be divided.

    Attributes:
        size: How many samples are held.
        fewest: How many were held when there were fewest.
        is_all: Whether none waits any more.
    """

    def __init__(self, first, second, batches, positions, memory):
        self._programs = first, second
        self._last_uses = last_uses(first)
        self._held = []
        self.fewest = math.inf
        sizes = _sizes(first, batches, self._last_uses)
        self._room = self._rooms(sizes, positions, memory)
        largest = max((sum(sizes[each] for each in {*call.inputs, *call.outputs}) for call in first.calls), default=0)
        room = min([PIECE * memory / max(1, largest), *self._room.values()])
        self._piece_size = _divided(first, batches, self._last_uses, max(1, int(room)))
        self._waiting = self.pieces(batches)
        self._next = next(self._waiting, None)

    @property
    def size(self):
        return sum(piece.size for piece in self._held)

    @property
    def is_all(self):
        return self._next is None

    def pieces(self, batches):
        """Returns an iterator over the data as `Piece`s that no call needs too much memory for."""
        return _pieces(batches, self._programs[0].inputs, self._piece_size)

    def carry_to(self, position):
        """Carries the samples to a call, lets others join where there is room, and returns them as `Piece`s."""
        for piece in self._held:
            self._advance(piece, position)
        while self._next and (not self._held or self.size + self._next.size <= self._room[position]):
            self._advance(self._next, position)
            self._held.append(self._next)
            self._next = next(self._waiting, None)
        self.fewest = min(self.fewest, self.size)
        return self._held

    def look(self, piece, number):
        """Returns a value in the model and in its twin; if the next call puts it out, as it would be."""
        pairs = [*zip(self._programs, (piece.before, piece.after), strict=True)]
        with masks_kept([value for _, values in pairs for value in values.values()]):  # for the call that is to come
            return [
                values[number] if number in values else program.calls[piece.position](values)[number]
                for program, values in pairs
            ]

    def alone(self, piece, wanted):
        """Carries a piece through the model alone, and yields numbers and values of those that are wanted."""
        program, values = self._programs[0], piece.before
        yield from ((number, values[number]) for number in wanted if number in values)
        makers = (index for index, call in enumerate(program.calls) if {*wanted} & {*call.outputs})
        for outputs in _computed(program, values, self._last_uses, range(max(makers, default=-1) + 1)):
            yield from ((number, outputs[number]) for number in wanted if number in outputs)

    def _advance(self, piece, position):
        for program, values in zip(self._programs, (piece.before, piece.after), strict=True):
            for _ in _computed(program, values, self._last_uses, range(piece.position, position)):
                pass
        piece.position = max(piece.position, position)

    def _rooms(self, sizes, positions, memory):
        """Returns how many samples may be held at each position, so that no later one is too much."""
        program, alive, taken = self._programs[0], {*self._programs[0].inputs}, {}
        for index in range(max(positions, default=0) + 1):
            taken[index] = 2 * sum(sizes[number] for number in alive)  # in both networks
            if index < len(program.calls):
                alive = (alive | {*program.calls[index].outputs}) - {*self._last_uses[index]}
        rooms, least = {}, math.inf
        for position in sorted(set(positions), reverse=True):
            least = min(least, memory // max(1, taken[position]))
            rooms[position] = least
        return rooms


def _pieces(batches, numbers, size):
    for inputs in batches():
        total = len(inputs[0])
        for first in range(0, total, size or total):
            part = inputs if size is None or size >= total else [each[first : first + size] for each in inputs]
            values = dict(zip(numbers, part, strict=True))
            yield Piece(len(part[0]), len(part[0]) / total, values, dict(values))


def _computed(program, values, last_uses, indices=None):
    """Makes calls, by default all, and yields what each puts out, by numbers; then lets go what nothing needs any more.

    Args:
        program: The program.
        values: Dictionary of values by their numbers, which is changed.
        last_uses: As `last_uses` returns them.
        indices: Numbers of the calls. Optional.
    """
    for index in range(len(program.calls)) if indices is None else indices:
        outputs = program.calls[index](values)
        values.update(outputs)
        yield outputs
        for number in last_uses[index]:
            del values[number]


def _sizes(program, batches, last_uses):
    """Returns the bytes that a sample takes of each value, by its number.

    Where shapes are not known before, as with sequences of any length, the first batch goes through the model.
    """
    sizes = {number: _bytes(tensor.shape[1:], tensor.dtype) for number, tensor in program.tensors.items()}
    if None not in sizes.values():
        return sizes
    values = dict(zip(program.inputs, next(iter(batches())), strict=True))
    samples = len(values[program.inputs[0]])
    sizes = {number: _bytes(np.shape(value), value.dtype) / samples for number, value in values.items()}
    for outputs in _computed(program, values, last_uses):
        sizes |= {number: _bytes(np.shape(value), value.dtype) / samples for number, value in outputs.items()}
    return sizes


def _bytes(shape, dtype):
    """Returns the bytes that an array takes, `None` if that is not known."""
    dtype = keras.backend.standardize_dtype(dtype)
    each = np.dtype(dtype).itemsize if dtype != "string" else 32
    return None if None in shape else math.prod(shape) * each


def _divided(program, batches, last_uses, size):
    """Returns into pieces of how many samples batches are divided, `None` if they must not be or need not.

    They must not where a model computes something of a sample from others, or of a fixed number of samples.
    """
    inputs = next(iter(batches()))
    total = len(inputs[0])
    if size >= total:
        return size
    if program.batch_size is not None or any(len(each) != total for each in inputs):
        return None
    values = dict(zip(program.inputs, (each[:size] for each in inputs), strict=True))
    try:
        every = [len(value) for outputs in _computed(program, values, last_uses) for value in outputs.values()]
    except Exception:  # whatever it is, it may not come with the whole batch
        return None
    return size if {*every} == {size} else None


def last_uses(program):
    """Returns the numbers of the values that nothing needs after a call, by the number of the call."""
    last = {}
    for index, call in enumerate(program.calls):
        last |= dict.fromkeys((*call.outputs, *call.inputs), index)
    uses = defaultdict(list)
    for number, index in last.items():
        uses[index].append(number)
    return uses

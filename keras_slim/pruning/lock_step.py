"""A model and its twin carried through data side by side, call by call, with a stop wherever they are looked at.

Weights that are set at a stop count for all that comes after it, so each call is made once for each sample, however
many stops there are. What both networks hold for the calls to come is kept for as many samples as memory allows. Where
these are not all, as with large images, the others join later, where activations are smaller.
"""

import dataclasses
from collections import defaultdict

import keras
import numpy as np

PROFILED = 8
"""Samples from which it is seen how much memory each value takes."""

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
        second: That of its twin.
        batches: Function of no argument that returns an iterator over flat lists of the model's inputs.
        stops: Numbers of the calls before which to stop, at least one.
        memory: Bytes to hold at most. One sample is held in any case.

    Attributes:
        size: How many samples were held at the last stop.
    """

    def __init__(self, first, second, batches, stops, memory):
        self._programs = first, second
        self._batches = batches
        self._last_uses = _last_uses(first)
        can_be_divided = first.batch_size is None
        held, largest = self._measure(sorted(set(stops)), can_be_divided)
        self._piece = max(1, int(PIECE * memory / largest)) if can_be_divided else None
        self._room = _room(held, memory)
        self._waiting = self._pieces()
        self._next = next(self._waiting, None)
        self._held = []

    @property
    def size(self):
        return sum(piece.size for piece in self._held)

    @property
    def is_all(self):
        """Whether no samples wait any more."""
        return self._next is None

    def stop(self, position):
        """Carries the samples to a call, lets others join where there is room, and returns them as `Piece`s."""
        for piece in self._held:
            self._advance(piece, position)
        while self._next and (not self._held or self.size + self._next.size <= self._room[position]):
            self._advance(self._next, position)
            self._held.append(self._next)
            self._next = next(self._waiting, None)
        return self._held

    def alone(self, wanted):
        """Carries all samples through the model alone, and yields them as `Piece`s that hold some values.

        Args:
            wanted: Set of the numbers of values.
        """
        calls = self._programs[0].calls
        end = max((index + 1 for index, call in enumerate(calls) if wanted & {*call.outputs}), default=0)
        for piece in self._pieces():
            self._carry(self._programs[0], piece.before, range(end), wanted)
            yield piece

    def look(self, piece, number):
        """Returns a value in the model and in its twin; the next call may put it out, which is not made for it."""
        pairs = zip(self._programs, (piece.before, piece.after), strict=True)
        return [
            values[number] if number in values else program.calls[piece.position](values)[number]
            for program, values in pairs
        ]

    def _advance(self, piece, position):
        for program, values in zip(self._programs, (piece.before, piece.after), strict=True):
            self._carry(program, values, range(piece.position, position))
        piece.position = max(piece.position, position)

    def _carry(self, program, values, indices, wanted=frozenset()):
        """Makes some calls; what nothing needs after one is let go, so that little is held at a time."""
        for index in indices:
            values.update(program.calls[index](values))
            for number in self._last_uses[index]:
                if number not in wanted:
                    del values[number]

    def _pieces(self):
        """Yields the data, in pieces that no call needs too much memory for."""
        for inputs in self._batches():
            total = len(inputs[0])
            size = min(total, self._piece or total)
            for first in range(0, total, size):
                part = [each[first : first + size] for each in inputs] if size < total else inputs
                values = dict(zip(self._programs[0].inputs, part, strict=True))
                yield Piece(len(part[0]), len(part[0]) / total, values, dict(values))

    def _measure(self, stops, can_be_divided):
        """Carries a few samples through the model alone, to see what takes how much memory.

        Returns:
            The bytes of a sample that both networks hold at each stop, a dictionary, and the most that go into a call
            and come out of it.
        """
        program = self._programs[0]
        inputs = next(iter(self._batches()))
        few = [each[:PROFILED] for each in inputs] if can_be_divided else inputs
        values = dict(zip(program.inputs, few, strict=True))
        per_sample = 2 / len(few[0])
        held, largest, position = {}, 1, 0
        for stop in stops:
            for index, call in enumerate(program.calls[position:stop], position):
                taken = [values[number] for number in call.inputs]
                self._carry(program, values, [index])
                taken += [values[number] for number in call.outputs if number in values]
                largest = max(largest, per_sample * sum(map(_bytes, taken)))
            position = stop
            held[stop] = per_sample * sum(map(_bytes, values.values()))
        return held, largest


def _room(held, memory):
    """Returns how many samples may be held from each stop on, so that no later one is too much."""
    room, least = {}, np.inf
    for stop, taken in sorted(held.items(), reverse=True):
        least = min(least, memory // max(1, taken))
        room[stop] = least
    return room


def _last_uses(program):
    """Returns the numbers of the values that nothing needs after a call, by the number of the call."""
    last = {}
    for index, call in enumerate(program.calls):
        last |= dict.fromkeys((*call.outputs, *call.inputs), index)
    uses = defaultdict(list)
    for number, index in last.items():
        uses[index].append(number)
    return uses


def _bytes(value):
    """Returns the bytes that a tensor takes."""
    dtype = keras.backend.standardize_dtype(value.dtype)
    return int(np.prod(np.shape(value))) * (np.dtype(dtype).itemsize if dtype != "string" else 32)

"""Trying out a function of which nothing is known: can units be cut from what it is given?

It is asked for the law that every cut rests on, with units cut at random from random inputs. What a unit is has no
effect on the others, so that a masked model answers as the model; and without it the others come out as before, so that
a smaller model answers as the masked one. That is evidence, not proof: so inputs come in several sizes and signs, since
a function may be saturated, or do something else, in some of them; and whatever fails speaks against it.
"""

import functools
import itertools
import warnings
import weakref

import keras
import numpy as np

from keras_slim.errors import first_sentence
from keras_slim.graph.channels import WHOLE, Channels
from keras_slim.graph.connected import components
from keras_slim.graph.functions import is_elementwise, reads_variables, state_of
from keras_slim.kernels.backends import without_gradients

KINDS = (
    lambda normal: normal,
    np.abs,
    lambda normal: -np.abs(normal),
    lambda normal: 0.01 * normal,
    lambda normal: np.maximum(normal, 0),
    lambda normal: 100 * normal,
    lambda normal: 10 + normal,
    lambda normal: 1e4 * normal,
)
"""What is made of normal random numbers; of two after one another, each cuts what the other keeps."""

MIXES = "mixes the channels"
EVERYWHERE = ()
MOST_VALUES = 2**20
UNKNOWN_SIZE, SMALL_SIZE = 3, 3
CLOSE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""How far elements may be from each other that were computed at other places, as a share of the largest."""

_found = weakref.WeakKeyDictionary()  # from a function to what was found of it, by shape, axis and type


def mixes_because(function, shape, axis, dtype, output=None, held=None) -> str:
    """Returns why units along an axis cannot be cut from what a function is given; empty if nothing speaks against it.

    Args:
        function: Function of one tensor.
        shape: Shape of the tensor; unknown sizes are `None`.
        axis: The axis, non-negative.
        dtype: Its type.
        output: The rank of what it returns, and the axis where the units are to be found there. Defaults to the same
            axis, in the same shape.
        held: What the function was made of, if that is another function, or a layer. Optional.

    Returns:
        A phrase, such as "mixes the channels". It is remembered as long as the function is there, as it is.

    Example:

    >>> mixes_because(lambda x: x * keras.ops.sigmoid(x), (None, 8), 1, "float32")
    ''
    >>> mixes_because(lambda x: x / keras.ops.sum(x, axis=-1, keepdims=True), (None, 8), 1, "float32")
    'mixes the channels'
    """
    held = function if held is None else held
    key, state = (tuple(shape), axis, dtype, output), state_of(held)
    found = _found_of(held)
    for known in (EVERYWHERE, key):
        if known in found and found[known][0] == state:
            return found[known][1]
    found[key] = state, _mixes_because(function, *key, held)
    return found[key][1]


def was_tried(function) -> bool:
    """Tells whether a function had to be tried, and nothing was found against it."""
    if is_elementwise(function):
        return False
    try:
        found = _found.get(function, {})
    except TypeError:
        return False
    return EVERYWHERE not in found and any(not reason for _, reason in found.values())


def try_on(function, values) -> bool:
    """Tries a function that was tried before on what a layer gives it, and returns whether something is against it.

    That counts from then on, for inputs of all shapes.

    Args:
        function: The function.
        values: Array.
    """
    found = _found_of(function)
    values = values[: max(1, MOST_VALUES * len(values) // max(1, values.size))]
    for key, (state, reason) in list(found.items()):
        if key != EVERYWHERE and not reason and _fits(values, Channels(key[0])):
            reason = _broken_on(function, values, *key[1:])
            if reason:
                found[EVERYWHERE] = state, f"{reason}, as what it is given shows"
                return True
    return EVERYWHERE in found


def _broken_on(function, values, axis, dtype, output):
    """Returns how a function breaks the law on an array, of which others are elements of other samples and units."""
    others = np.roll(values, (1, 1), (0, axis))
    given = Channels(values.shape, {axis: np.arange(values.shape[axis])})
    outputs = [given if output is None else _somewhere(given.along(axis), *output)]
    turns = itertools.cycle((values, others))
    return broken_law(function, [given], outputs, [dtype], kinds=[lambda normal: next(turns)] * 2)


def _found_of(function):
    """Returns what was found of a function, for more to be put in."""
    try:
        return _found.setdefault(function, {})
    except TypeError:  # it has no hash, or nothing can tell when it is gone
        return {}


def _mixes_because(function, shape, axis, dtype, output, held):
    units = np.arange(shape[axis])
    small = [SMALL_SIZE if size is None else min(size, SMALL_SIZE) for size in shape]
    small[axis] = shape[axis]
    reason = ""
    for sizes in dict.fromkeys((tuple(small), known_sizes(shape))):  # it may want the true ones
        given = Channels(sizes, {axis: units})
        outputs = [given if output is None else _somewhere(units, *output)]
        try:
            return broken_law(function, [given], outputs, [dtype], held=held)
        except Exception as error:
            reason = f"fails when it is tried ({first_sentence(error)})"
    return reason


def known_sizes(shape):
    """Returns a shape with sizes in the place of those that are not known."""
    return tuple(UNKNOWN_SIZE if size is None else size for size in shape)


def _somewhere(units, rank, axis):
    """Returns the channels of a tensor of which no more is known than where its units are."""
    return Channels(tuple(len(units) if each == axis else None for each in range(rank)), {axis: units})


@without_gradients()
def broken_law(function, inputs, outputs, dtypes, ties=(), wholes=(), held=None, kinds=KINDS) -> str:
    """Returns in which way a function breaks the law of cuts, a phrase; an empty string if it was not seen to.

    Args:
        function: Function of tensors.
        inputs: `Channels` of each of them, of known shapes.
        outputs: What is claimed of the channels of what it returns, flat. Sizes that are not known can be any.
        dtypes: The type of each input.
        ties: Pairs of arrays of atoms that go together.
        wholes: Arrays of atoms that are never cut.
        held: The function whose state is watched, if that is another.
        kinds: What is made of normal random numbers, to be given to it.

    Raises:
        Exception: What the function raises on inputs of whole size.
        ValueError: If it returns nothing of them.
    """
    held = function if held is None else held
    if reads_variables(held):
        return "reads variables, which may change"
    rng, before = np.random.default_rng(0), state_of(held)
    broken = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for keep, kind in zip(_kept(rng, inputs, ties, wholes), kinds, strict=False):
            draw = functools.partial(_drawn, rng, kind)
            broken.append(_broken(function, inputs, outputs, dtypes, draw, keep))
    broken = [each for each in broken if each]
    if broken:
        return MIXES if MIXES in broken else broken[0]
    return "" if state_of(held) == before else "changes what it reads, so that it may do another thing later"


def _kept(rng, inputs, ties, wholes):
    """Yields, for ever, which atoms are kept; of two after one another each keeps what the other does not.

    These are about half of them, an odd number, and always the same: JAX compiles anew for each.
    """
    count = 1 + max((int(channels.all().max(initial=-1)) for channels in inputs), default=-1)
    first, second = (np.concatenate([np.zeros(0, int), *(pair[side] for pair in ties)]) for side in (0, 1))
    loose = np.concatenate([first[second == WHOLE], second[first == WHOLE], *wholes]).astype(int)
    are_two = (first != WHOLE) & (second != WHOLE)
    root = components(count, first[are_two], second[are_two])
    fixed = np.isin(root, root[loose[loose != WHOLE]])
    free = np.unique(root[~fixed])
    while len(free) > 1:
        shuffled, half = rng.permutation(free), (len(free) // 2 - 1) | 1
        for part in (shuffled[:half], shuffled[half:]):
            keep = fixed | np.isin(root, part)
            for atoms in (atoms for channels in inputs for atoms in channels.axes.values()):
                if not _at(keep, atoms).any():  # no axis is cut to nothing
                    keep |= root == root[rng.choice(atoms)]
            yield keep


def _broken(function, inputs, outputs, dtypes, draw, keep):
    """Returns how a function breaks the law for one cut of one kind of inputs."""

    def answers(values):
        pairs = zip(values, dtypes, strict=True)
        tensors = [keras.ops.convert_to_tensor(value.copy(), dtype) for value, dtype in pairs]
        return [_array(each) for each in keras.tree.flatten(function(*tensors))]

    values = [draw(each.shape, dtype) for each, dtype in zip(inputs, dtypes, strict=True)]
    others = [draw(each.shape, dtype) for each, dtype in zip(inputs, dtypes, strict=True)]
    whole = answers(values)
    if not _all(_fits, whole, outputs):
        return MIXES
    if not all(answer.size for answer in whole):
        raise ValueError(f"it returns nothing of inputs of shapes {[each.shape for each in inputs]}")
    if not _all(_same, whole, answers(values)):
        return "gives another answer each time, being random or having a state"
    redrawn = zip(inputs, values, others, strict=True)
    masked = answers([np.where(_stays(each, keep), value, other) for each, value, other in redrawn])
    kept = [_cut(answer, each, keep) for answer, each in zip(whole, outputs, strict=True)]
    if not _all(_same, kept, [_cut(answer, each, keep) for answer, each in zip(masked, outputs, strict=True)]):
        return MIXES
    try:
        smaller = answers([_cut(value, each, keep) for value, each in zip(values, inputs, strict=True)])
    except Exception:  # whatever comes of numbers of channels that are built in
        return "fails with fewer channels"
    is_alike = _all(functools.partial(_close, tolerance=max(CLOSE.get(dtype, 0) for dtype in dtypes)), smaller, kept)
    return "" if is_alike else "treats channels unlike each other, or by how many there are"


def _drawn(rng, kind, shape, dtype):
    values = kind(rng.standard_normal(shape))
    if dtype == "bool":
        return values > 0
    if dtype.startswith(("int", "uint")):
        limits = np.iinfo(dtype)
        values = np.clip(values, limits.min, limits.max)
    return values.astype("float32" if dtype == "bfloat16" else dtype)


def _array(tensor):
    """Returns a tensor as an array of a type of NumPy's own."""
    array = np.asarray(keras.ops.convert_to_numpy(tensor))
    return array if array.dtype.kind in "biufc" else array.astype("float32")


def _at(keep, atoms):
    """Returns which positions along an axis are kept; those that belong to no unit are."""
    return np.append(keep, True)[atoms]


def _stays(channels, keep):
    """Returns which elements of a tensor belong to no unit that is cut."""
    stays = np.ones(channels.shape, bool)
    for axis, atoms in channels.axes.items():
        stays &= _at(keep, atoms).reshape([-1 if other == axis else 1 for other in range(stays.ndim)])
    return stays


def _cut(array, channels, keep):
    for axis, atoms in channels.axes.items():
        array = np.compress(_at(keep, atoms), array, axis=axis)
    return array


def _all(alike, first, second):
    return len(first) == len(second) and all(alike(one, other) for one, other in zip(first, second, strict=True))


def _fits(array, channels):
    sizes = zip(array.shape, channels.shape, strict=False)
    return array.ndim == len(channels.shape) and all(claimed in (None, size) for size, claimed in sizes)


def _same(one, other):
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _close(one, other, tolerance):
    if one.shape != other.shape:
        return False
    if one.dtype.kind not in "fc":
        return np.array_equal(one, other)
    finite = np.abs(other[np.isfinite(other)]).astype(float)
    return np.allclose(one, other, rtol=tolerance, atol=tolerance * finite.max(initial=0), equal_nan=True)

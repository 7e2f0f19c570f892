"""Data in any form `model.fit` takes, as batches."""

import itertools

import keras
import numpy as np

from keras_slim.errors import in_short, invalid_argument
from keras_slim.graph.endpoints import endpoints
from keras_slim.validation import check_count

NO_BATCH = "`data` holds no batch: expected at least one sample. A generator may be used up."
FEW = 8
"""Samples enough to try a function on."""
INFINITE = -1  # `tf.data.INFINITE_CARDINALITY`


def as_batches(data, model, *, owner, targets, batch_size=128, steps=None, reason=None):
    """Returns a function that starts a pass over the data.

    Args:
        data: Inputs, or a tuple `(x, y)` or `(x, y, sample_weight)`, each an array or a structure of arrays; or a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator of such batches.
        model: The model the batches are for.
        owner: Name of the function that was given the data, for error messages.
        targets: Whether targets are needed.
        batch_size: Samples in a batch made from arrays.
        steps: Number of batches in a pass. Endless data needs it, and so does a generator, which goes on where the
            last pass stopped. Defaults to all.
        reason: What the data is for, a phrase for error messages. Defaults to a criterion.

    Returns:
        Function of no argument that returns an iterator over `(x, y, sample_weight)`.

    Raises:
        TypeError: If the data is nothing that `fit` takes.
        ValueError: If data or targets are missing, endless data comes without `steps`, or a shape or a type of values
            does not fit.
    """
    if steps is not None:
        check_count(steps, "steps", owner)
    reason = reason or ("for this criterion or de-biasing" if targets else "for this criterion")
    if data is None:
        expected = f"inputs and targets, `data=(x, y)`, {reason}" if targets else f"inputs, `data=x`, {reason}"
        raise ValueError(invalid_argument("data", owner, expected=expected, received=None))
    start = _starter(data, batch_size, owner, steps)

    def batches():
        for batch in itertools.islice(start(), steps):
            x, y, sample_weight = _parts(batch, owner)
            if targets and y is None:
                expected = f"targets too, `data=(x, y)`, {reason}"
                raise ValueError(invalid_argument("data", owner, expected=expected, received="inputs only"))
            _check_shapes(x, model, owner)
            yield x, y, sample_weight

    return batches


def first_samples(data, model, count, *, owner, targets=False, reason=None):
    """Returns the batches `(x, y, sample_weight)` that hold the first samples of data, to be passed over several times.

    Args:
        data: As for `as_batches`; what comes in batches may be endless.
        model: The model the batches are for.
        count: How many samples at most.
        owner: Name of the function that was given the data.
        targets: Whether targets are needed.
        reason: As for `as_batches`.

    Raises:
        TypeError, ValueError: As `as_batches`; `ValueError` also if the data holds no batch.
    """
    fixed = model.inputs[0].shape[0]
    options = {"batch_size": fixed} if fixed else {}
    start = as_batches(data, model, owner=owner, targets=targets, steps=count, reason=reason, **options)
    batches, left = [], count
    for batch in start():
        size = num_samples(batch[0])
        if size > left and not fixed:
            batch = _mapped(lambda array: array[:left], batch)  # noqa: B023
        batches.append(batch)
        left -= size
        if left <= 0:
            break
    if not batches:
        raise ValueError(NO_BATCH)
    return batches


def number_of_batches(data, batch_size=128, steps=None):
    """Returns how many batches a pass over the data has, in any form that `as_batches` takes; `None` if unknown."""
    if isinstance(data, keras.utils.PyDataset):
        count = _num_batches(data)
    elif hasattr(data, "cardinality"):
        count = int(data.cardinality())
        count = count if count >= 0 else None  # it may be unknown, or endless
    elif isinstance(data, DrawnBatches):
        count = len(data)
    elif hasattr(data, "__next__") or hasattr(data, "element_spec"):
        count = None
    else:
        lengths = [len(part) for part in keras.tree.flatten(data) if np.ndim(part)]
        count = -(-lengths[0] // batch_size) if lengths else None
    return min(filter(None, (count, steps)), default=None)


def num_samples(x) -> int:
    """Returns how many samples a batch of inputs has, sparse ones too."""
    return keras.tree.flatten(x)[0].shape[0]


def first_inputs(data, model, *, owner):
    """Returns the inputs of the first batch of data, flat, or `None` if there is none that can be looked at twice."""
    if data is None or hasattr(data, "__next__"):
        return None
    batches = as_batches(data, model, owner=owner, targets=False, batch_size=FEW, steps=1)
    x, *_ = next(batches(), (None,))
    return None if x is None else flat_inputs(model, x)


def build_on(model, data, owner) -> None:
    """Builds a model that has not been called yet on the first batch of data, if there is one to look at twice.

    Raises:
        ValueError: If the model does not run on it.
    """
    if model.built or data is None or hasattr(data, "__next__") or type(model).call is keras.Model.call:
        return
    x, *_ = keras.utils.unpack_x_y_sample_weight(next(iter(_starter(data, FEW, owner, steps=1)())))
    try:
        model(x)
    except Exception as error:
        raise ValueError(
            f"`{owner}` cannot build model '{model.name}' on its `data`: {in_short(error)}. Expected inputs as `fit` "
            "gives them to the model. Correct them, or call the model on a batch before `fit`."
        ) from error


class DrawnBatches(list):
    """Batches that were drawn from a generator once, to be looked at as often as needed."""


def drawn(data, steps, owner):
    """Returns data that can be passed over several times: the batches of a generator, or else the data itself."""
    if steps is not None:
        check_count(steps, "steps", owner)
    return DrawnBatches(itertools.islice(data, steps)) if hasattr(data, "__next__") and steps else data


def _starter(data, batch_size, owner, steps):
    """Returns the function that returns a new iterator over raw batches."""
    if steps is None and may_be_endless(data):
        raise ValueError(
            invalid_argument(
                "steps",
                owner,
                expected="the number of batches to draw from a generator, or from endless data, at a time",
                received=None,
                hint="A generator may be endless.",
            )
        )
    if isinstance(data, keras.utils.PyDataset):
        return lambda: (data[index] for index in _indices(data))
    if hasattr(data, "__next__"):
        return lambda: data
    if hasattr(data, "element_spec") or isinstance(data, DrawnBatches):
        return lambda: iter(data)
    return lambda: _slices(data, batch_size, owner)


def _parts(batch, owner):
    """Returns inputs, targets and sample weights of a batch, `None` for what it has not."""
    if isinstance(batch, tuple) and not 1 <= len(batch) <= 3:
        expected = "inputs, `(x, y)` or `(x, y, sample_weight)`"
        hint = "Several inputs are one list or dictionary: `([x1, x2], y)`."
        raise ValueError(
            invalid_argument("data", owner, expected=expected, received=f"a tuple of {len(batch)}", hint=hint)
        )
    return keras.utils.unpack_x_y_sample_weight(batch)


def may_be_endless(data) -> bool:
    """Tells whether a pass over data, in any form that `as_batches` takes, may never end."""
    if isinstance(data, keras.utils.PyDataset):
        return _num_batches(data) is None
    if hasattr(data, "cardinality"):
        return int(data.cardinality()) == INFINITE
    return hasattr(data, "__next__")


def _indices(dataset):
    """Returns the indices of the batches of a `PyDataset`."""
    count = _num_batches(dataset)
    return itertools.count() if count is None else range(count)


def _num_batches(dataset):
    """Returns the number of batches of a `PyDataset`, `None` if it does not say."""
    try:
        return dataset.num_batches
    except NotImplementedError:
        return None


def _slices(data, batch_size, owner):
    """Yields batches of arrays; `None` stands for a target that an output has not, as in `fit`."""
    arrays = _mapped(lambda part: _as_array(part, owner), data if isinstance(data, tuple) else (data,))
    lengths = {len(array) for array in keras.tree.flatten(arrays) if array is not None}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            invalid_argument(
                "data", owner, expected="arrays with equal numbers of samples, at least one", received=sorted(lengths)
            )
        )
    for first in range(0, lengths.pop(), batch_size):
        yield _mapped(lambda array: array[first : first + batch_size], arrays)  # noqa: B023


def _as_array(part, owner):
    if np.ndim(part):
        return np.asarray(part)
    expected = "arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator of batches"
    hint = "Lists in it are several inputs or targets: make one array of numbers with `np.array`."
    raise TypeError(invalid_argument("data", owner, expected=expected, received=part, hint=hint))


def _mapped(function, nested):
    """Returns a structure with a function applied to each part that is there."""
    return keras.tree.map_structure(lambda part: None if part is None else function(part), nested)


def _check_shapes(x, model, owner):
    """Raises `ValueError` if a batch does not fit the model's inputs."""
    tensors, arrays = model.inputs, keras.tree.flatten(x)
    if isinstance(x, dict):
        named = _named_inputs(model)
        if not set(named) <= set(x):
            expected = f"inputs named {sorted(named)}"
            raise ValueError(invalid_argument("data", owner, expected=expected, received=sorted(x)))
        tensors, arrays = list(named.values()), [x[name] for name in named]
    expected = [tuple(tensor.shape) for tensor in tensors]
    received = [tuple(np.shape(array)) for array in arrays]
    if len(expected) != len(received) or not all(map(_fits, received, expected)):
        is_sample = [shape[1:] for shape in expected] == received
        hint = "These are single samples: give batches, for instance with `dataset.batch(32)`." if is_sample else ""
        expected = f"batches of shape {expected}"
        raise ValueError(invalid_argument("data", owner, expected=expected, received=received, hint=hint))
    for tensor, array in zip(tensors, arrays, strict=True):
        if (tensor.dtype == "string") != _holds_texts(array):
            expected, hint = f"values of {tensor.dtype} for input '{tensor.name}'", "Convert them first."
            received = f"values of {getattr(array, 'dtype', type(array).__name__)}"
            raise ValueError(invalid_argument("data", owner, expected=expected, received=received, hint=hint))


def _named_inputs(model):
    """Returns the inputs of a model, in their order, by the names under which a dictionary has them."""
    structure = endpoints(model)[0]
    if not isinstance(structure, dict) or len(structure) < len(model.inputs):
        return {tensor.name: tensor for tensor in model.inputs}
    names = [name for (name, *_), _ in keras.tree.flatten_with_path(structure)]
    return dict(zip(names, model.inputs, strict=True))


def _holds_texts(array):
    """Tells whether the elements of an array are texts, or other objects that are no numbers."""
    dtype = getattr(array, "dtype", None)
    return getattr(dtype, "kind", "") in ("U", "S", "O") or getattr(dtype, "name", "") == "string"


def _fits(received, expected):
    """Tells whether a shape fits; as in `fit`, a last axis of one may be left out or added."""
    if len(received) == len(expected) - 1:
        received = (*received, 1)
    elif len(received) == len(expected) + 1 and received[-1] == 1:
        received = received[:-1]
    return len(received) == len(expected) and all(
        size is None or size == got for got, size in zip(received, expected, strict=True)
    )


def flat_inputs(model, x):
    """Returns a batch of inputs as a flat list of tensors, in the order and the types of the model's inputs."""
    names = _named_inputs(model) if isinstance(x, dict) else {}
    is_named = bool(names) and set(names) <= set(x)
    arrays = [x[name] for name in names] if is_named else keras.tree.flatten(x)
    return [_as_input(array, tensor) for array, tensor in zip(arrays, model.inputs, strict=True)]


def _as_input(array, tensor):
    """Returns an array as the model takes it, dense: a last axis of one may be left out or be too much, as in `fit`."""
    array = keras.ops.convert_to_tensor(array, dtype=tensor.dtype, sparse=False)
    if len(array.shape) == len(tensor.shape) - 1 and tensor.shape[-1] == 1:
        return keras.ops.expand_dims(array, -1)
    return keras.ops.squeeze(array, -1) if len(array.shape) == len(tensor.shape) + 1 and array.shape[-1] == 1 else array

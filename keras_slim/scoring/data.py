"""Data in any form `model.fit` takes, as batches."""

import itertools

import keras
import numpy as np

from keras_slim.errors import invalid_argument


def as_batches(data, model, *, owner, targets, batch_size=128, steps=None):
    """Returns a function that starts a pass over the data.

    Args:
        data: Inputs, or a tuple `(x, y)` or `(x, y, sample_weight)`, each an array or a structure of arrays; or a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator of such batches.
        model: The model the batches are for.
        owner: Name of the function that was given the data, for error messages.
        targets: Whether targets are needed.
        batch_size: Samples in a batch made from arrays.
        steps: Number of batches in a pass. A generator, which may be endless, needs it and goes on where the last
            pass stopped. Defaults to all.

    Returns:
        Function of no argument that returns an iterator over `(x, y, sample_weight)`.

    Raises:
        ValueError: If data or targets are missing, a generator comes without `steps`, or a shape does not fit.
    """
    if data is None:
        need = "inputs and targets, `data=(x, y)`" if targets else "inputs, `data=x`"
        raise ValueError(invalid_argument("data", owner, expected=f"{need}, for this criterion", received=None))
    start = _starter(data, batch_size, owner, steps)

    def batches():
        for batch in itertools.islice(start(), steps):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
            if targets and y is None:
                raise ValueError(
                    invalid_argument(
                        "data", owner, expected="targets too, `data=(x, y)`, for this criterion", received="inputs only"
                    )
                )
            _check_shapes(x, model, owner)
            yield x, y, sample_weight

    return batches


def _starter(data, batch_size, owner, steps):
    """Returns the function that returns a new iterator over raw batches."""
    if isinstance(data, keras.utils.PyDataset):
        return lambda: (data[index] for index in range(data.num_batches if steps is None else steps))
    if hasattr(data, "__next__"):
        if steps is None:
            raise ValueError(
                invalid_argument(
                    "steps",
                    owner,
                    expected="the number of batches to draw from a generator at a time",
                    received=None,
                    hint="A generator may be endless.",
                )
            )
        return lambda: data
    if hasattr(data, "element_spec"):
        return lambda: iter(data)
    return lambda: _slices(data, batch_size, owner)


def _slices(data, batch_size, owner):
    """Yields batches of arrays."""
    arrays = data if isinstance(data, tuple) else (data,)
    arrays = [keras.tree.map_structure(np.asarray, part) for part in arrays]
    lengths = {len(array) for part in arrays for array in keras.tree.flatten(part) if array.ndim}
    if len(lengths) != 1:
        raise ValueError(
            invalid_argument("data", owner, expected="arrays with equal numbers of samples", received=sorted(lengths))
        )
    for first in range(0, lengths.pop(), batch_size):
        yield tuple(
            keras.tree.map_structure(lambda array: array[first : first + batch_size], part)  # noqa: B023
            for part in arrays
        )


def _check_shapes(x, model, owner):
    """Raises `ValueError` if a batch does not fit the model's inputs."""
    arrays = keras.tree.flatten(x)
    expected = [tuple(tensor.shape) for tensor in model.inputs]
    received = [tuple(array.shape) for array in arrays]
    if len(expected) != len(received) or not all(map(_fits, received, expected)):
        raise ValueError(invalid_argument("data", owner, expected=f"batches of shape {expected}", received=received))


def _fits(received, expected):
    return len(received) == len(expected) and all(
        size is None or size == got for got, size in zip(received, expected, strict=True)
    )

"""What the zeros of a sparse model save: its file beside that of a model of the same shape without zeros.

The encoding of sparse tensors that the file format has stays off: files with it fail or lie on some phones. Zeros save
bytes when the file is compressed on its way to the phone.
"""

import contextlib

import keras
import numpy as np

_FEW = 0.05


def sparsity_of(model: keras.Model) -> float:
    """Returns the share of zeros in a model's weights of two axes or more."""
    weights = [weight.numpy() for weight in model.weights if len(weight.shape) > 1]
    size = sum(weight.size for weight in weights)
    return 1 - sum(int(np.count_nonzero(weight)) for weight in weights) / size if size else 0.0


def is_sparse(model: keras.Model) -> bool:
    """Tells whether a model has so many zeros that it is worth telling what they save."""
    return _FEW < sparsity_of(model) < 1


@contextlib.contextmanager
def without_zeros(model: keras.Model):
    """Lets each zero in a matrix of a model be one of its other values, drawn at random; puts the zeros back."""
    rng, values = np.random.default_rng(0), model.get_weights()
    model.set_weights([_filled(value, rng) if value.ndim > 1 else value for value in values])
    try:
        yield
    finally:
        model.set_weights(values)


def _filled(value, rng):
    others = value[value != 0]
    return np.where(value == 0, rng.choice(others, value.shape), value) if others.size else value

"""Models that train on several devices, and by several processes together.

The one place that knows of them. TensorFlow has strategies: variables must be made within theirs. `keras.distribution`,
on JAX, holds a model on the devices of several processes, each of which sees a part of the data. What a process finds
out on its part is summed up over all, so that all decide alike. Keras has no call for that: `_gathered` takes JAX's,
checked on JAX 0.10.
"""

import contextlib

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError

PIECE = 2**24
"""Bytes of an array that are sent at a time."""


def scope_of(model):
    """Returns the context in which variables that belong to a model must be created."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def num_processes() -> int:
    """Returns how many processes train together: those of the `keras.distribution` that is set."""
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else distribution.num_processes


def check_distribution(model, owner) -> None:
    """Raises `UnsupportedLayerError` for a model that trains in a way in which it cannot be followed."""
    workers = _workers(getattr(model, "distribute_strategy", None))
    if workers > 1:
        raise UnsupportedLayerError(
            f"`{owner}` cannot follow a model on {workers} workers of `MultiWorkerMirroredStrategy`. Expected one "
            "machine, with `MirroredStrategy`; or several with `keras.distribution.DataParallel`, on JAX. Train in one "
            "of these ways: with several workers of TensorFlow the `fit` of Keras 3 fails too (keras-team/keras#20585)."
        )
    divided = [each.path for each in model.variables if not _is_whole_here(each)] if num_processes() > 1 else []
    if divided:
        raise UnsupportedLayerError(
            f"`{owner}` cannot follow model '{model.name}', whose variables are divided among processes. Expected each "
            f"of them whole in every process. Received parts of {', '.join(divided[:3])}. Train with "
            "`keras.distribution.DataParallel`, or in one process."
        )


def parts_along(variable, axis) -> int:
    """Returns into how many equal parts an axis of a variable is divided among devices, as by `ModelParallel`."""
    sharding = getattr(variable.value, "sharding", None)
    return 1 if sharding is None else variable.shape[axis] // sharding.shard_shape(tuple(variable.shape))[axis]


@contextlib.contextmanager
def each_alone(model):
    """A context in which a process computes by itself, on its own part of the data, with weights of its own.

    What changes in variables meanwhile is forgotten in the end. With one process it is none.
    """
    if num_processes() == 1:
        yield
    else:
        with keras.StatelessScope([(each, keras.ops.convert_to_numpy(each)) for each in model.variables]):
            yield


def sum_over_processes(values):
    """Returns nested arrays or numbers, each summed over all processes; all of them must ask for it."""
    return _joined(values, lambda arrays: arrays.sum(axis=0))


def of_first_process(values):
    """Returns nested arrays or numbers of the first process: what all have computed may differ in the last digits."""
    return _joined(values, lambda arrays: arrays[0])


def _joined(values, join):
    if num_processes() == 1:
        return values
    return keras.tree.map_structure(lambda value: _gathered(np.asarray(value), join), values)


def _gathered(array, join):
    """Returns what is made of an array of each process; in pieces, and byte by byte, for JAX makes float32 of float64.

    Args:
        array: The array of this process, of the same shape and type in all.
        join: Function from those of all, along a new first axis, to one.
    """
    from jax.experimental.multihost_utils import process_allgather

    flat = array.ravel()
    pieces = np.array_split(flat, -(-flat.nbytes // PIECE)) if flat.size else []
    together = [join(process_allgather(piece.view(np.uint8)).view(flat.dtype)) for piece in pieces]
    return np.concatenate([flat[:0], *together]).reshape(array.shape)[()]


def _workers(strategy):
    """Returns how many workers a strategy of TensorFlow has that Keras cannot train with; else 1."""
    if strategy is None:
        return 1
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    cluster = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(len(cluster.get(job, ())) for job in ("chief", "worker"))


def _is_whole_here(variable):
    """Tells whether this process can read all of a variable."""
    return variable.value.is_fully_replicated or variable.value.is_fully_addressable

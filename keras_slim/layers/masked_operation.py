"""Operations that leave channels out, for models in which units are masked rather than removed.

They go round an operation of `keras.ops`: what comes out answers as the operation does on the kept channels alone.
"""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("keras_slim")
class MaskedOperation(keras.Operation):
    """Computes an operation over some of the channels of its arguments.

    Args:
        operation: The operation of `keras.ops`, or a layer without weights.
        kept: Dictionary from a leaf of the arguments, once they are laid out flat, and one of its axes to the positions
            that are kept.
        name: As for every operation.

    Call arguments:
        Those of the operation.

    Returns:
        What the operation returns for the kept channels alone.

    Example:

    >>> total = MaskedOperation(keras.layers.Dot(1), {(0, 1): [0, 2], (1, 1): [0, 2]})
    >>> float(total([keras.ops.ones((1, 3)), keras.ops.ones((1, 3))])[0, 0])
    2.0
    """

    def __init__(self, operation, kept, *, name=None):
        super().__init__(name=name)
        self.operation = operation
        self.kept = {(int(leaf), int(axis)): list(positions) for (leaf, axis), positions in kept.items()}

    def call(self, *args, **kwargs):
        args, kwargs = self._taken(args, kwargs)
        return self.operation(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        args, kwargs = self._taken(args, kwargs)
        return self.operation.compute_output_spec(*args, **kwargs)

    def _taken(self, args, kwargs):
        """Returns the arguments with the kept channels alone."""
        leaves = keras.tree.flatten((args, kwargs))
        for (leaf, axis), positions in self.kept.items():
            leaves[leaf] = self._of_channels(leaves[leaf], positions, axis)
        return keras.tree.pack_sequence_as((args, kwargs), leaves)

    def _of_channels(self, value, positions, axis):
        """Returns what stands for an argument."""
        if isinstance(value, keras.KerasTensor):
            shape = [len(positions) if place == axis else size for place, size in enumerate(value.shape)]
            return keras.KerasTensor(shape, value.dtype)
        return ops.take(value, positions, axis=axis)

    def get_config(self):
        operation = keras.saving.serialize_keras_object(self.operation)
        kept = [[*place, positions] for place, positions in self.kept.items()]
        return {"operation": operation, "kept": kept, "name": self.name}

    @classmethod
    def from_config(cls, config):
        """Returns the operation that a config tells."""
        kept = {(leaf, axis): positions for leaf, axis, positions in config["kept"]}
        operation = keras.saving.deserialize_keras_object(config["operation"])
        return cls(operation, kept, name=config["name"])


@keras.saving.register_keras_serializable("keras_slim")
class SilencedOperation(MaskedOperation):
    """Computes an operation with zeros in place of some of the channels.

    For operations in which a zero adds nothing, and which return all channels of other arguments.
    """

    def _of_channels(self, value, positions, axis):
        return value if isinstance(value, keras.KerasTensor) else silenced(value, positions, axis)


@keras.saving.register_keras_serializable("keras_slim")
class SpreadOperation(MaskedOperation):
    """Computes an operation over some of the channels, and zeros for the others.

    What it returns is as large as its first argument.
    """

    def call(self, *args, **kwargs):
        outputs = super().call(*args, **kwargs)
        for (leaf, axis), positions in self.kept.items():
            if not leaf:
                outputs = spread(outputs, positions, args[0].shape[axis], axis)
        return outputs

    def compute_output_spec(self, *args, **kwargs):
        return self.operation.compute_output_spec(*args, **kwargs)


def spread(outputs, positions, size, axis):
    """Returns a tensor with its slices along an axis at `positions` of `size`, zeros elsewhere."""
    first = ops.take(outputs, [0], axis=axis)
    padded = ops.concatenate([outputs, ops.zeros_like(first)], axis=axis)
    place = {position: index for index, position in enumerate(positions)}
    return ops.take(padded, [place.get(position, len(positions)) for position in range(size)], axis=axis)


def silenced(value, positions, axis):
    """Returns a tensor with zeros along an axis everywhere but at `positions`."""
    alive = np.zeros([size if place == axis else 1 for place, size in enumerate(value.shape)])
    alive.reshape(-1)[positions] = 1
    return value * ops.cast(alive, value.dtype)

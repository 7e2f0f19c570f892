"""Operations that leave channels out, for models in which units are masked rather than removed."""

import keras
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
            leaves[leaf] = _take(leaves[leaf], positions, axis)
        return keras.tree.pack_sequence_as((args, kwargs), leaves)

    def get_config(self):
        operation = keras.saving.serialize_keras_object(self.operation)
        kept = [[*place, positions] for place, positions in self.kept.items()]
        return {"operation": operation, "kept": kept, "name": self.name}

    @classmethod
    def from_config(cls, config):
        kept = {(leaf, axis): positions for leaf, axis, positions in config["kept"]}
        operation = keras.saving.deserialize_keras_object(config["operation"])
        return cls(operation, kept, name=config["name"])


def _take(value, positions, axis):
    if isinstance(value, keras.KerasTensor):
        shape = [len(positions) if place == axis else size for place, size in enumerate(value.shape)]
        return keras.KerasTensor(shape, value.dtype)
    return ops.take(value, positions, axis=axis)

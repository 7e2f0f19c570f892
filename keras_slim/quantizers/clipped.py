"""Weights that are held between -1 and 1."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_slim")
class Clipped(keras.constraints.Constraint):
    """Holds weights between -1 and 1 after each step.

    Beyond, a weight that is trained in place of its sign could wander off for good: the sign stays the same.

    Example:

    >>> Clipped()(keras.ops.array([-2.0, 0.5])).numpy().tolist()
    [-1.0, 0.5]

    Reference:
        Courbariaux et al. 2015, "BinaryConnect", arXiv 1511.00363, section 2.4.
    """

    def __call__(self, w):
        return ops.clip(w, -1, 1)

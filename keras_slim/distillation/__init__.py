"""Learning from another network: from the one it was, or from a convolutional twin.

A `Distillation` says by which of Keras's distillation losses a network learns, and how much they weigh beside the
model's own; `ProgressiveGlobalPruning(distillation=...)` takes it, and the dense network teaches the pruned one.
`ProgressiveKernelDistillation` trains an adder network beside its convolutional twin. To teach any model by any other,
Keras has `keras.distillation.Distiller`.
"""

from keras_slim.distillation.distillation import Distillation
from keras_slim.distillation.progressive_kernel_distillation import ProgressiveKernelDistillation

__all__ = ["Distillation", "ProgressiveKernelDistillation"]

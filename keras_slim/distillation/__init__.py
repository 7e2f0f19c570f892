"""Learning from the network as it was: its outputs teach the smaller one while that is trained.

A `Distillation` says by which of Keras's distillation losses, and how much they weigh beside the model's own;
`ProgressiveGlobalPruning(distillation=...)` takes it. To teach any model by any other, outside of pruning, Keras has
`keras.distillation.Distiller`.
"""

from keras_slim.distillation.distillation import Distillation

__all__ = ["Distillation"]

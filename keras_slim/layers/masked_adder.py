"""Adder layers that leave channels out, for models in which units are masked rather than removed.

A zero among the channels is as far from a weight as any other number, and no weight is far from nothing. These twins
measure distances over the kept channels alone, so that a masked model answers, and learns, as its shrunken one.
"""

import keras
from keras import ops

from keras_slim.layers.adder_conv1d import AdderConv1D
from keras_slim.layers.adder_conv2d import AdderConv2D
from keras_slim.layers.adder_dense import AdderDense
from keras_slim.layers.masked import Masked, twin_of


class _MaskedAdder(Masked):
    """Mixes into an adder layer: take the kept channels of the inputs, and of the kernel."""

    def distances(self, inputs, kernel, groups=1, **options):
        """Returns what the layer measures over the kept channels, which are at the same places in all groups."""
        for positions in [*self.kept.values()][:1]:
            inputs = ops.take(inputs, positions, axis=-1)
            kernel = ops.take(kernel, positions[: len(positions) // groups], axis=-2)
        return super().distances(inputs, kernel, groups=groups, **options)


@twin_of(AdderConv1D)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedAdderConv1D(_MaskedAdder, AdderConv1D):
    """Convolves sequences by L1 distance over some of the channels."""


@twin_of(AdderConv2D)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedAdderConv2D(_MaskedAdder, AdderConv2D):
    """Convolves images by L1 distance over some of the channels."""


@twin_of(AdderDense)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedAdderDense(_MaskedAdder, AdderDense):
    """Answers by the L1 distance to each unit's weights over some of the channels."""

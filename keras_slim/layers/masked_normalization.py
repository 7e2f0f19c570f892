"""Normalisation that leaves channels out, for models in which units are masked rather than removed.

A zero among the channels is not neutral for a mean, a variance or a norm. These twins of Keras's layers take their
statistics over the kept channels alone and put out zero elsewhere, so that a masked model answers as its shrunken one.
"""

import keras
from keras import ops

from keras_slim.layers.masked import Masked, twin_of
from keras_slim.layers.masked_operation import spread


class _MaskedNormalization(Masked):
    """Mixes into a normalisation layer: normalise the kept channels as the layer would, and put zeros elsewhere."""

    def call(self, inputs):
        rank = len(inputs.shape)
        axes = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        small = inputs
        for axis, positions in self.kept.items():
            small = ops.take(small, positions, axis=axis)

        def along(variable):
            for position, axis in enumerate(axes):
                if variable is not None and axis % rank in self.kept:
                    variable = ops.take(variable, self.kept[axis % rank], axis=position)
            return variable

        outputs = ops.cast(self.normalize(small, along), self.compute_dtype)
        for axis in self.kept:
            outputs = spread(outputs, self.kept[axis], inputs.shape[axis], axis)
        return outputs


@twin_of(keras.layers.LayerNormalization)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedLayerNormalization(_MaskedNormalization, keras.layers.LayerNormalization):
    """Layer normalisation over some of the channels."""

    def normalize(self, inputs, along):
        """Returns the normalised inputs; `along` cuts a weight like them."""
        return ops.layer_normalization(
            inputs, along(self.gamma), along(self.beta), self.axis, self.epsilon, rms_scaling=self.rms_scaling
        )


@twin_of(keras.layers.RMSNormalization)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedRMSNormalization(_MaskedNormalization, keras.layers.RMSNormalization):
    """Root-mean-square normalisation over some of the channels."""

    def normalize(self, inputs, along):
        """Returns the normalised inputs; `along` cuts a weight like them."""
        return ops.rms_normalization(inputs, scale=along(self.scale), axis=self.axis, epsilon=self.epsilon)


@twin_of(keras.layers.UnitNormalization)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedUnitNormalization(_MaskedNormalization, keras.layers.UnitNormalization):
    """Unit normalisation over some of the channels."""

    def normalize(self, inputs, along):
        """Returns the normalised inputs."""
        return ops.normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)

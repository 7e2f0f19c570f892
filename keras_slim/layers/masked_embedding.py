"""An embedding that leaves columns out where it is read backwards, for models in which units are masked.

The table is what computes the units, so that it cannot have zeros in the place of those that are not read.
"""

import keras

from keras_slim.layers.masked import Masked, twin_of
from keras_slim.layers.masked_operation import silenced


@twin_of(keras.layers.ReversibleEmbedding)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedReversibleEmbedding(Masked, keras.layers.ReversibleEmbedding):
    """Embeds as usual, and projects back from some of the channels."""

    def call(self, inputs, reverse=False):
        if reverse:
            for axis, positions in self.kept.items():
                inputs = silenced(inputs, positions, axis)
        return super().call(inputs, reverse=reverse)

"""Attention that leaves channels of its queries and keys out, for models in which units are masked.

A zero in a query adds nothing to its scores, so that a twin has to set the removed channels of the query to zero.
"""

import keras

from keras_slim.layers.masked import Masked, twin_of
from keras_slim.layers.masked_operation import silenced


@twin_of(keras.layers.Attention)
@keras.saving.register_keras_serializable("keras_slim")
class MaskedAttention(Masked, keras.layers.Attention):
    """Dot-product attention by some of the channels of the queries."""

    def call(self, inputs, mask=None, training=False, return_attention_scores=False, use_causal_mask=False):
        query, *others = inputs
        for axis, positions in self.kept.items():
            query = silenced(query, positions, axis)
        return super().call([query, *others], mask, training, return_attention_scores, use_causal_mask)

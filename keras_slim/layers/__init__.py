"""Layers that Keras does not have: normalisation over some of the channels, for `mask`."""

from keras_slim.layers.masked_normalization import (
    MaskedLayerNormalization,
    MaskedRMSNormalization,
    MaskedUnitNormalization,
)

__all__ = ["MaskedLayerNormalization", "MaskedRMSNormalization", "MaskedUnitNormalization"]

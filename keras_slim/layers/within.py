"""Which layers a model, or a layer, is made of."""

from keras_slim.held import layers_within

__all__ = ["layers_within"]

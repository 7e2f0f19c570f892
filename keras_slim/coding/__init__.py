"""Arrays in fewer bits: the few values that stand for many."""

from keras_slim.coding.codebook import nearest_codes, nearest_values, shared_values

__all__ = ["nearest_codes", "nearest_values", "shared_values"]

"""Data sets small enough to ship: real data to try things on without a download."""

from keras_slim.datasets.digits import load_digits

__all__ = ["load_digits"]

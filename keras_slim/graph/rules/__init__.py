"""One rule per layer type, filed by family. Importing this package fills the table."""

from keras_slim.graph.rules import convolution, dense, elementwise, merging, normalization, pooling, reshaping

__all__ = ["convolution", "dense", "elementwise", "merging", "normalization", "pooling", "reshaping"]

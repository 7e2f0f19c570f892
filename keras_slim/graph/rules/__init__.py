"""One rule per layer type, filed by family. Importing this package fills the table."""

from keras_slim.graph.rules import (
    attention,
    convolution,
    dense,
    einsum_dense,
    elementwise,
    embedding,
    merging,
    normalization,
    pooling,
    recurrent,
    reshaping,
)

__all__ = [
    "attention",
    "convolution",
    "dense",
    "einsum_dense",
    "elementwise",
    "embedding",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "reshaping",
]

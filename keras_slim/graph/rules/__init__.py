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
    operations_elementwise,
    operations_joining,
    operations_mixing,
    operations_products,
    operations_reshaping,
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
    "operations_elementwise",
    "operations_joining",
    "operations_mixing",
    "operations_products",
    "operations_reshaping",
    "pooling",
    "recurrent",
    "reshaping",
]

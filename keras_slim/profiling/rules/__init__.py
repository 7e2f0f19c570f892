"""What each layer type has to compute: one small rule per type, one file per family.

A rule is a function of the layer and of one call of it, registered with `register_work`. It says how often each
element of each weight is used for one sample, and mentions every weight of two or more dimensions.
"""

from keras_slim.profiling.rules import (
    adder,
    attention,
    convolutions,
    dense,
    products,
    quantized,
    recurrent,
    tensor_train,
    uncounted,
    wrappers,
)

__all__ = [
    "adder",
    "attention",
    "convolutions",
    "dense",
    "products",
    "quantized",
    "recurrent",
    "tensor_train",
    "uncounted",
    "wrappers",
]

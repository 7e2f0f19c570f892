"""Arrays in fewer bits: few values or vectors that stand for many, positions of what is not zero, entropy coding."""

from keras_slim.coding.arrays import Census, decode_array, encode_array, take_census
from keras_slim.coding.codebook import nearest_codes, nearest_values, shared_values
from keras_slim.coding.entropy import decode_symbols, encode_symbols, information
from keras_slim.coding.texts import decode_text, encode_text
from keras_slim.coding.vectors import nearest_vectors, shared_vectors

__all__ = [
    "Census",
    "decode_array",
    "decode_symbols",
    "decode_text",
    "encode_array",
    "encode_symbols",
    "encode_text",
    "information",
    "nearest_codes",
    "nearest_values",
    "nearest_vectors",
    "shared_values",
    "shared_vectors",
    "take_census",
]

"""Models in files that are really small: what `save_compressed` writes, `load_compressed` gives back, bit for bit."""

from keras_slim.compression.loading import inspect_compressed, load_compressed
from keras_slim.compression.report import CompressedLayer, CompressionReport
from keras_slim.compression.saving import save_compressed

__all__ = ["CompressedLayer", "CompressionReport", "inspect_compressed", "load_compressed", "save_compressed"]

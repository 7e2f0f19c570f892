"""The steps there are, one a file. A new one is imported here, so that recipes know it by its name."""

from keras_slim.recipes.kinds.compress import Compress
from keras_slim.recipes.kinds.export import Export
from keras_slim.recipes.kinds.factorize import Factorize
from keras_slim.recipes.kinds.fine_tune import FineTune
from keras_slim.recipes.kinds.prune import Prune
from keras_slim.recipes.kinds.quantize import Quantize
from keras_slim.recipes.kinds.share import Share
from keras_slim.recipes.kinds.sparsify import Sparsify

__all__ = ["Compress", "Export", "Factorize", "FineTune", "Prune", "Quantize", "Share", "Sparsify"]

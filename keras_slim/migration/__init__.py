"""From TFMOT to Keras 3: models with its pruning, clustering or quantization wrappers, or stripped of them.

`migrate` reads a file of `tf_keras` and TFMOT in a process of its own, since TFMOT makes `tf_keras` the Keras of the
whole process, and returns a plain Keras 3 model that has been checked to answer alike. Wrappers become masks, codes and
quantizers of keras_slim where that is asked for.
"""

from keras_slim.migration.migrating import Migration, migrate

__all__ = ["Migration", "migrate"]

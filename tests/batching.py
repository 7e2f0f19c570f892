"""Data for short fits.

Given arrays, Keras builds a pipeline for each fit and shuffles in each epoch, which takes longer than a few steps do.
So does TensorFlow where it looks for the best way to hand on a few batches.
"""

import tensorflow as tf

PLAIN = tf.data.Options()
PLAIN.autotune.enabled = False
PLAIN.experimental_optimization.apply_default_optimizations = False
PLAIN.threading.private_threadpool_size = 1


def batches(x, y, size=None):
    """Returns a dataset of samples and targets in batches of a size in samples, or all in one batch, in their order."""
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size or len(x)).with_options(PLAIN)

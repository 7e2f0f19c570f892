"""Keeping what TensorFlow has prepared for its operations from one test to the next.

`keras.backend.clear_session` and `keras.utils.set_random_seed`, with which each test starts, also throw away all
kernels, so that random operations that count their calls count anew. Keras draws with others, that do not count, and to
prepare kernels again is a third of the time of a test with a small model. There is no public way to leave them. Checked
on TensorFlow 2.21; `tests/test_fresh_start.py` holds it.
"""

import keras
from tensorflow.python import pywrap_tfe

_clear = pywrap_tfe.TFE_ContextClearCaches


def keep_kernels() -> None:
    """Lets kernels stay from here on, whoever starts afresh."""
    pywrap_tfe.TFE_ContextClearCaches = lambda context: None


def clear_kernels() -> None:
    """Throws all kernels away, once: those of compiled functions hold their graphs."""
    pywrap_tfe.TFE_ContextClearCaches = _clear
    keras.backend.clear_session(free_memory=False)
    keep_kernels()

"""Each test starts with the same names and the same random numbers, though TensorFlow keeps what it has prepared."""

import random

import keras
import kernels_kept
import numpy as np
import tensorflow as tf


def start():
    """What every test starts with."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


def drawn():
    """Names and numbers from wherever tests have them."""
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    dropped = keras.layers.Dropout(0.5)(np.ones((4, 4), "float32"), training=True)
    shuffled = list(tf.data.Dataset.range(9).shuffle(9).as_numpy_iterator())
    numbers = [layer.kernel, dropped, keras.random.normal((2,)), keras.random.shuffle(np.arange(9)), shuffled]
    plain = np.random.random(2).tolist(), random.random()
    return [layer.name, *plain, *(keras.ops.convert_to_numpy(each).tolist() for each in numbers)]


def test_names_and_numbers_are_the_same_after_each_start():
    start()
    first = drawn()
    assert first[0] == "dense"
    for one, other in zip(first, drawn(), strict=True):
        assert one != other
    start()
    assert drawn() == first


def test_only_clearing_kernels_clears_them(monkeypatch):
    """Also fails where Keras or TensorFlow have come to clear them in another way."""
    cleared = []
    monkeypatch.setattr(kernels_kept, "_clear", cleared.append)
    start()
    assert cleared == []
    kernels_kept.clear_kernels()
    assert len(cleared) == 1
    start()
    assert len(cleared) == 1

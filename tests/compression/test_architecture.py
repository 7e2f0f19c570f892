"""What is told from a configuration is what Keras builds: never more, and all of it for stock layers."""

import keras
import pytest
import zoo
from keras import layers

from keras_slim.compression.architecture import declared_weights

EXACT = [
    (layers.Dense(7), (5,), 35),
    (layers.Dense(7), (3, 5), 35),
    (layers.Conv1D(6, 3, groups=2), (9, 4), 36),
    (layers.Conv2D(6, (3, 2)), (9, 9, 4), 144),
    (layers.Conv2D(6, (3, 2), data_format="channels_first"), (4, 9, 9), 144),
    (layers.Conv3DTranspose(2, 2), (3, 3, 3, 5), 80),
    (layers.SimpleRNN(4), (6, 3), 28),
    (layers.Embedding(50, 3), (6,), 150),
    (layers.Flatten(), (6,), 0),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), EXACT)
def test_kernels(layer, shape, expected):
    model = keras.Sequential([keras.Input(shape), layer])
    assert declared_weights(keras.saving.serialize_keras_object(model)) == expected


@pytest.mark.parametrize("build", zoo.BUILDERS, ids=lambda build: build.__name__)
def test_never_more_than_there_are(build):
    model = build()
    assert declared_weights(keras.saving.serialize_keras_object(model)) <= model.count_params()

"""One small trained-looking network and its files, converted once for all tests of this folder."""

import keras
import numpy as np
import pytest

from keras_slim.export import export_tflite


def build_classifier(seed):
    """Returns an untrained convolutional classifier of 6x6x2 pictures whose scores differ from picture to picture."""
    keras.utils.set_random_seed(seed)
    pictures = keras.Input((6, 6, 2), name="pictures")
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(pictures)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(pictures, keras.layers.Dense(5)(x))


@pytest.fixture(scope="session")
def pictures():
    return np.random.default_rng(0).standard_normal((24, 6, 6, 2)).astype("float32")


@pytest.fixture(scope="session")
def classifier():
    return build_classifier(seed=0)


@pytest.fixture(scope="session")
def stranger():
    """The same network with other weights."""
    return build_classifier(seed=1)


@pytest.fixture(scope="session")
def exported(classifier, pictures, tmp_path_factory):
    """The report of the classifier's export, by quantization."""
    folder = tmp_path_factory.mktemp("exported")
    return {
        quantize: export_tflite(classifier, folder / f"{quantize}.tflite", quantize, pictures, verbose=0)
        for quantize in (None, "float16", "dynamic", "int8")
    }

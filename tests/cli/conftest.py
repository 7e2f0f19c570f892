"""A small model and its samples, as files, and a file exported from it."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.cli import main


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="session")
def model_path(folder):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(x), name="small")
    model.save(folder / "model.keras")
    return str(folder / "model.keras")


@pytest.fixture(scope="session")
def data_path(folder):
    rng = np.random.default_rng(0)
    x = rng.random((40, 8, 8, 1), dtype="float32")
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, 40))
    return str(folder / "data.npz")


@pytest.fixture(scope="session")
def tflite_path(folder, model_path, data_path):
    path = str(folder / "model.tflite")
    assert main(["export", model_path, "-o", path, "--data", data_path]) == 0
    return path


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail, and returns its message: one, on standard error, and no traceback."""

    def run(code, *words):
        capsys.readouterr()
        try:
            received = main([str(word) for word in words])
        except SystemExit as leaving:  # how argparse refuses
            received = leaving.code
        out, err = capsys.readouterr()
        assert received == code, err
        assert out == ""
        assert "Traceback" not in err
        assert f"keras-slim {words[0]}: " in err
        return err

    return run


@pytest.fixture
def prints(capsys):
    """Runs a command that must succeed, and returns what it prints."""

    def run(*words):
        capsys.readouterr()
        assert main([str(word) for word in words]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run

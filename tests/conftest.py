"""What every test starts from: the TensorFlow backend, quiet, with fixed seeds and layer names."""

import functools
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import keras
import pytest

hypothesis.settings.register_profile("keras_slim", deadline=None, derandomize=True)
hypothesis.settings.load_profile("keras_slim")


@pytest.fixture(autouse=True)
def fresh_start():
    """Gives each test the same random numbers and the same automatic layer names, whatever ran before."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


@pytest.fixture
def uncompiled_adder_layers(monkeypatch):
    """Lets adder layers run step by step: for the many small shapes of the zoo, XLA would compile for minutes."""
    from keras_slim.kernels import adder

    def uncompiled(kind):
        return functools.partial(adder._forward, kind), functools.partial(adder._input_gradient, kind)

    monkeypatch.setattr(adder, "_compiled", uncompiled)

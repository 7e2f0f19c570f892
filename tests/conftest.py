"""What every test starts from: the TensorFlow backend, quiet, with fixed seeds and layer names."""

import functools
import gc
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Else the processor decides (TensorFlow turns oneDNN on by itself where there is AVX-512), and with it the last digits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import hypothesis
import keras
import pytest
from kernels_kept import clear_kernels, keep_kernels
from since import NEWER_MODULES, why_not

# At Python's own thresholds, looking for garbage is a tenth of the time of tests: each model is tens of thousands of
# objects, and nearly all that was made for a test lives as long as the test.
gc.set_threshold(20_000, 10, 10)

hypothesis.settings.register_profile("keras_slim", deadline=None, derandomize=True)
hypothesis.settings.load_profile("keras_slim")

keep_kernels()

collect_ignore = NEWER_MODULES


@pytest.fixture(autouse=True)
def fresh_start():
    """Gives each test the same random numbers and the same automatic layer names, whatever ran before."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def less_to_collect():
    """Keeps what was there before out of the garbage collections that cuts in `fit` make: they would walk all of it.

    What is imported is 350,000 objects; TensorFlow's compiled functions leave about as many in the course of the tests.
    """
    clear_kernels()
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    for item in items:
        if isinstance(item, pytest.Function) and (reason := why_not(item)):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_setup(item):
    if item.get_closest_marker("channels_first") and not _convolves_channels_first():
        pytest.skip("TensorFlow convolves with channels first on the CPU only with oneDNN")


@functools.cache
def _convolves_channels_first():
    try:
        keras.ops.conv(keras.ops.ones((1, 1, 1, 1)), keras.ops.ones((1, 1, 1, 1)), data_format="channels_first")
    except Exception as error:
        if "only supports the NHWC tensor format on the CPU" not in str(error):
            raise
        return False
    return True


@pytest.fixture
def convolves_channels_first():
    """Tells whether the backend has the plain convolution with channels first on this machine, as it stands."""
    return _convolves_channels_first()


@pytest.fixture
def uncompiled_adder_layers(monkeypatch):
    """Lets adder layers run step by step: for the many small shapes of the zoo, XLA would compile for minutes."""
    from keras_slim.kernels import adder

    def uncompiled(kind):
        return functools.partial(adder._forward, kind), functools.partial(adder._input_gradient, kind)

    monkeypatch.setattr(adder, "_compiled", uncompiled)

"""Two small networks and their files, and a runtime of a few bytes in place of that of 30 MB."""

import hashlib

import keras
import numpy as np
import pytest

from keras_slim.export import export_tflite
from keras_slim.phone import PhoneServer, measuring, runtime


def build(seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,), name="numbers")
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(hidden))


@pytest.fixture(scope="session")
def model():
    return build(seed=0)


@pytest.fixture(scope="session")
def stranger():
    """The same network with other weights."""
    return build(seed=1)


@pytest.fixture(scope="session")
def x():
    return np.random.default_rng(0).standard_normal((20, 6)).astype("float32")


@pytest.fixture(scope="session")
def files(model, x, tmp_path_factory):
    """Paths by what the files hold."""
    folder = tmp_path_factory.mktemp("files")
    paths = {quantize: str(folder / f"{quantize}.tflite") for quantize in (None, "int8")}
    for quantize, path in paths.items():
        export_tflite(model, path, quantize, x, verbose=0)
    return paths


@pytest.fixture(scope="session")
def small_runtime():
    """The content of files that stand for the runtime's."""
    return {name: f"// {name}\n".encode() * 50 for name in runtime.SHA256}


@pytest.fixture
def pinned(small_runtime, monkeypatch):
    """Pins the hashes of the small runtime in place of the real ones."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in small_runtime.items()}
    for name, digest in digests.items():
        monkeypatch.setitem(runtime.SHA256, name, digest)


@pytest.fixture
def runtime_folder(small_runtime, pinned, tmp_path):
    """A folder that holds the small runtime, and nothing to be fetched."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name, content in small_runtime.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def serve(runtime_folder, files, x, monkeypatch):
    """Starts a server of this computer alone, for the time of the test."""
    monkeypatch.setattr(measuring, "_SECONDS_TO_CLOSE", 0.005)
    servers = []

    def start(paths=None, model=None, data=x, **options):
        server = PhoneServer(
            paths or [files[None]], model, data, runtime=runtime_folder, address="127.0.0.1", **options
        ).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()

"""A real browser, the real runtime, and files of every kind. What is missing skips all of it, with the reason."""

import keras
import numpy as np
import pytest
from fetch_browser import BY_HAND, find_chromium

import keras_slim as slim
from keras_slim.errors import ExportError, SlimWarning
from keras_slim.phone import PhoneServer, runtime, server

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="session")
def playwright():
    """Playwright, with which a browser is driven."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def launch(playwright):
    """Starts Chromium."""
    path = find_chromium()
    if path is None:
        pytest.skip(f"There is no Chromium here. {BY_HAND}")
    browsers = []

    def start(*options):
        browsers.append(playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *options]))
        return browsers[-1]

    yield start
    for browser in browsers:
        browser.close()


@pytest.fixture(scope="session")
def chromium(launch):
    return launch()


@pytest.fixture
def visit(chromium):
    """Opens an address in a page like that of a phone, as someone who was never there before."""
    contexts = []

    def open_page(url, browser=chromium, **options):
        contexts.append(browser.new_context(viewport=PHONE, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: page.said.append(("error", str(error))))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def real_runtime():
    """The pinned runtime, out of the user's cache or fetched into it."""
    try:
        return runtime.Runtime()
    except ExportError as error:
        pytest.skip(str(error))


@pytest.fixture
def serve(real_runtime, monkeypatch):
    """Starts a server of this computer alone, with the real runtime, for the time of the test."""
    monkeypatch.setattr(server, "SECONDS_EACH", 0.2)
    monkeypatch.setattr("keras_slim.phone.measuring.Runtime", lambda folder: real_runtime)
    servers = []

    def start(paths, model=None, data=None, **options):
        servers.append(PhoneServer(paths, model, data, address="127.0.0.1", **options).start())
        return servers[-1]

    yield start
    for each in servers:
        each.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="session")
def pictures():
    return np.random.default_rng(0).standard_normal((12, 8, 8, 2)).astype("float32")


@pytest.fixture(scope="session")
def model():
    keras.utils.set_random_seed(0)
    pictures = keras.Input((8, 8, 2), name="pictures")
    x = keras.layers.Conv2D(12, 3, activation="relu")(pictures)
    x = keras.layers.DepthwiseConv2D(3, activation="relu")(x)
    return keras.Model(pictures, keras.layers.Dense(6)(keras.layers.Flatten()(x)))


@pytest.fixture(scope="session")
def files(model, pictures, folder):
    """Paths by what the files of the model hold."""
    paths = {quantize or "float32": folder / f"{quantize or 'float32'}.tflite" for quantize in (None, *QUANTIZED)}
    for name, path in paths.items():
        slim.export_tflite(model, path, None if name == "float32" else name, pictures, verbose=0)
    return paths


@pytest.fixture(scope="session")
def digits(folder):
    """A network that reads the digits of the quickstart, its file in int8, and some of them."""
    (x, y), _, (x_test, _) = slim.datasets.load_digits()
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=8, verbose=0)
    slim.export_tflite(model, folder / "digits.tflite", "int8", x[:200], verbose=0)
    return model, folder / "digits.tflite", x_test[:20]


QUANTIZED = ("float16", "dynamic", "int8")


@pytest.fixture(scope="session")
def lstm(folder):
    """A recurrent network: its model, its file and samples."""
    keras.utils.set_random_seed(1)
    steps = keras.Input((5, 3), name="steps")
    model = keras.Model(steps, keras.layers.Dense(4)(keras.layers.LSTM(6)(steps)))
    data = np.random.default_rng(1).standard_normal((9, 5, 3)).astype("float32")
    with pytest.warns(SlimWarning, match="2 partitions"):  # so it is with loops
        slim.export_tflite(model, folder / "lstm.tflite", data=data, verbose=0)
    return model, folder / "lstm.tflite", data


@pytest.fixture(scope="session")
def adder(folder, pictures):
    """An adder network: its model and its file."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 2), name="pictures")
    x = keras.layers.LayerNormalization()(slim.layers.AdderConv2D(6, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    slim.export_tflite(model, folder / "adder.tflite", data=pictures, verbose=0)
    return model, folder / "adder.tflite"

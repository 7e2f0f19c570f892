"""Takes the pictures of the page for phones in `docs/on-your-phone.md`: light and dark, at a phone's size.

Needs Playwright and Chromium, as `tox -e browser` has them: python docs/take_phone_pictures.py
"""

import io
import pathlib
import shutil
import tempfile

import keras
from PIL import Image
from playwright.sync_api import sync_playwright

import keras_slim as slim

IMAGES = pathlib.Path(__file__).parent / "images"
COLOURS = 32
PHONE = {"viewport": {"width": 360, "height": 1200}, "device_scale_factor": 1.5}


def make_files(folder):
    """Returns a network for digits and a pruned one, the paths of their files, and samples."""
    (x, y), *_ = slim.datasets.load_digits()
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit(x, y, epochs=20, verbose=0)
    models = [model, slim.prune(model, 0.5)]
    paths = [folder / "dense.tflite", folder / "pruned.tflite"]
    for each, path in zip(models, paths, strict=True):
        slim.export_tflite(each, path, "int8", x[:200])
    return models, paths, x


def draw_seven(page):
    """Draws a digit on the pad, and waits until it is read."""
    box = page.get_by_role("img").bounding_box()
    places = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ((0.3, 0.2), (0.7, 0.2), (0.4, 0.85))
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.get_by_text(".tflite reads").wait_for()


def main():
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        models, paths, x = make_files(pathlib.Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            with slim.phone.PhoneServer(paths, models, x, address="127.0.0.1") as server:
                page = browser.new_page(color_scheme=scheme, **PHONE)
                page.goto(server.url)
                page.get_by_role("button", name="Measure again").wait_for()
                draw_seven(page)
                picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
                picture.quantize(COLOURS).save(IMAGES / f"phone_{scheme}.png", optimize=True)
                print(server.wait(timeout=60))
        browser.close()


if __name__ == "__main__":
    main()

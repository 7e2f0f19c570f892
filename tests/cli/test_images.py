"""Samples from arrays without names, and from folders of images."""

import keras
import numpy as np
import pytest

from keras_slim.cli.files import load_samples

rng = np.random.default_rng(0)


def write(path, *shape):
    """Writes an image of noise, without loss, and returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = rng.integers(0, 256, shape, dtype="uint8")
    keras.utils.save_img(path, image, scale=False)
    return image


def taking(*shape, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, keras.layers.Flatten()(inputs))


@pytest.fixture
def classes(tmp_path):
    """A folder with two images of class b, then one of class a, as they are written; classes go by name."""
    images = {name: write(tmp_path / f"{name}.png", 8, 8, 1) for name in ("b/0", "b/1", "a/0")}
    return tmp_path, np.stack([images[name] for name in ("a/0", "b/0", "b/1")])


def test_an_array(tmp_path):
    x = rng.normal(size=(4, 3))
    np.save(tmp_path / "x.npy", x)
    found, targets = load_samples(str(tmp_path / "x.npy"))
    np.testing.assert_array_equal(found, x)
    assert targets is None


def test_an_array_that_is_none(tmp_path):
    (tmp_path / "x.npy").write_text("1, 2")
    with pytest.raises(ValueError, match=r"The array in .*x\.npy cannot be read"):
        load_samples(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"There is no file .*y\.npy"):
        load_samples(tmp_path / "y.npy")


def test_images_by_class(classes):
    folder, images = classes
    x, y = load_samples(folder, taking(8, 8, 1))
    np.testing.assert_array_equal(x, images.astype("float32"))
    assert x.dtype == "float32"
    np.testing.assert_array_equal(y, [0, 1, 1])


def test_pixels_are_what_the_model_takes(classes):
    folder, images = classes
    x, _ = load_samples(folder, taking(8, 8, 1), pixels=(-1, 1))
    np.testing.assert_allclose(x, images / 127.5 - 1, rtol=0, atol=1e-6)
    x, _ = load_samples(folder, taking(8, 8, 1, dtype="uint8"))
    assert x.dtype == "uint8"
    np.testing.assert_array_equal(x, images)


def test_images_without_classes_are_resized(tmp_path):
    image = write(tmp_path / "0.png", 8, 8, 3)
    x, y = load_samples(tmp_path, taking(4, 4, 3))
    np.testing.assert_allclose(x, image.reshape(1, 4, 2, 4, 2, 3).mean((2, 4)), atol=1e-4)
    assert y is None


@pytest.mark.channels_first
def test_channels_first(tmp_path):
    image = write(tmp_path / "0.png", 8, 8, 3)
    x, _ = load_samples(tmp_path, taking(3, 8, 8))
    np.testing.assert_array_equal(x, image.transpose(2, 0, 1)[None])


def test_no_images_and_none_that_can_be_read(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: No images found"):
        load_samples(tmp_path, taking(8, 8, 1))
    write(tmp_path / "0.png", 8, 8, 1)
    (tmp_path / "1 of 2.png").write_text("no image")
    write(tmp_path / "2.png", 8, 8, 1)
    with pytest.raises(ValueError, match=r"The image .*1 of 2\.png cannot be read: Unknown image file format"):
        load_samples(tmp_path, taking(8, 8, 1))


def test_integers_are_rounded_and_must_reach_from_black_to_white(tmp_path):
    image = write(tmp_path / "0.png", 8, 8, 1)
    x, _ = load_samples(tmp_path, taking(8, 8, 1, dtype="int8"), pixels=(-128, 127))
    np.testing.assert_array_equal(x, image[None].astype("int16") - 128)
    x, _ = load_samples(tmp_path, taking(8, 8, 1, dtype="uint8"), pixels=(0, 100))
    np.testing.assert_array_equal(x, np.rint(image[None] / 2.55))
    with pytest.raises(ValueError, match="takes uint8, numbers from 0 to 255.*Received: -1 1"):
        load_samples(tmp_path, taking(8, 8, 1, dtype="uint8"), pixels=(-1, 1))


@pytest.mark.parametrize("shape", [(8,), (None, None, 3), (8, 8, 2)])
def test_a_model_that_takes_no_images(shape, tmp_path):
    write(tmp_path / "0.png", 8, 8, 1)
    with pytest.raises(ValueError, match=r"goes with one input .* The input here is \(.*Save the samples as arrays"):
        load_samples(tmp_path, taking(*shape))


def test_a_file_is_verified_and_evaluated_on_images(prints, classes, model_path, tflite_path):
    folder, _ = classes
    words = ("--data", folder, "--pixels", 0, 1)
    assert "dB on 3 samples" in prints("verify", model_path, tflite_path, *words)
    assert "accuracy" in prints("evaluate", tflite_path, *words)

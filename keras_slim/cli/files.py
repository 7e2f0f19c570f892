"""Models and samples in, results out: read with clear errors, written whole or not at all."""

import os
import zipfile

from keras_slim.cli.images import load_images
from keras_slim.errors import first_sentence
from keras_slim.validation import check_writable
from keras_slim.whole_files import written_whole

NO_SAMPLES = "has no array `x`. Save one with: numpy.savez('data.npz', x=x, y=y)"


def load_model(path):
    """Returns the model in a `.keras` file, not compiled, read in Keras's safe mode.

    Args:
        path: Path of the file.

    Returns:
        The model.

    Raises:
        ValueError: If there is no such file, or Keras cannot read it.
    """
    import keras

    import keras_slim.layers  # noqa: F401  so that Keras knows them

    check_file(path, "a model")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a .keras file. Save the model with: model.save('model.keras')")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"Keras cannot load {path}: {first_sentence(error)} "
            "(A model with layers of your own has to be handled in Python, where they are defined.)"
        ) from error


def load_samples(path, like=None, pixels=(0, 255)):
    """Returns samples: inputs, and targets where there are any.

    Args:
        path: Path of a `.npz` file with the array `x`, or `x_0`, `x_1`... for a model with several inputs, and perhaps
            `y`, or `y_0`, `y_1`... for one with several outputs; of a `.npy` file, inputs alone; or of a folder of
            images, with a folder for each class where there are targets.
        like: What takes the images of a folder: a model, or the path of a LiteRT file. Without it there are none.
        pixels: What black and white of these images become.

    Returns:
        `(x, y)`: an array or a list of arrays, and an array, a list of arrays or None.

    Raises:
        ValueError: If there is no such file, or it holds no such arrays.
    """
    if os.path.isdir(path) and like is not None:
        return load_images(path, like, pixels)
    if str(path).endswith(".npy"):
        return _load_array(path), None
    arrays = _load_arrays(path)
    x, y = _one_or_several(arrays, "x"), _one_or_several(arrays, "y")
    if x is None:
        raise ValueError(f"{path} {NO_SAMPLES}. It has: {', '.join(arrays) or 'nothing'}.")
    return x, y


def write_text(path, text):
    """Writes text to a file, whole or not at all."""
    with written_whole(path) as scratch, open(scratch, "w", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def check_output(path):
    """Raises `ValueError` if no file can be written at a path, before any work is done."""
    check_writable(path, "output", "keras-slim")


def check_file(path, kind):
    if not os.path.exists(path):
        raise ValueError(f"There is no file {path}. Give the path of {kind}.")
    if not os.path.isfile(path):
        raise ValueError(f"{path} is a folder. Give the path of {kind}.")


def _one_or_several(arrays, name):
    several = [arrays[f"{name}_{index}"] for index in range(len(arrays)) if f"{name}_{index}" in arrays]
    return arrays.get(name, several or None)


def _load_array(path):
    import numpy as np

    check_file(path, "samples")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"The array in {path} cannot be read: {error}") from error


def _load_arrays(path):
    import numpy as np

    check_file(path, "samples, a .npz or .npy file, or a folder of images")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a .npz or .npy file, nor a folder of images: it {NO_SAMPLES}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"The arrays in {path} cannot be read: {error}") from error

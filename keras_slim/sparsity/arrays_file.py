"""Arrays in a file that is written whole or not at all."""

import io
import os

import numpy as np

from keras_slim.validation import check_writable


def write_arrays(path, arrays, owner):
    """Writes arrays to a `.npz` file, whole or not at all."""
    path = check_writable(path, "path", owner)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    half = f"{path}.part"
    try:
        with open(half, "wb") as file:
            file.write(buffer.getvalue())
        os.replace(half, path)
    except OSError:
        if os.path.exists(half):
            os.remove(half)
        raise


def read_arrays(path, needed, owner):
    """Returns the arrays in a file that `write_arrays` wrote, by name.

    Raises:
        ValueError: If it is no such file, or lacks the array `needed`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        arrays[needed]
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each have their own
        raise ValueError(
            f"This is not a file of `{owner}`. Expected a file that `{owner}.save()` wrote. Received: {path} ({error})"
        ) from error
    return arrays

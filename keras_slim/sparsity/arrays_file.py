"""Arrays in a file that is written whole or not at all."""

import numpy as np

from keras_slim.whole_files import written_whole


def write_arrays(path, arrays, owner):
    """Writes arrays to a `.npz` file, whole or not at all."""
    with written_whole(path, owner, ".npz") as scratch, open(scratch, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_arrays(path, needed, owner, make=dict):
    """Returns the arrays in a file that `write_arrays` wrote, by name.

    Args:
        path: Path of the file.
        needed: Name of an array that must be there.
        owner: Name of the class whose file it is, for error messages.
        make: Turns the dictionary of arrays into what is returned.

    Raises:
        ValueError: If it is no such file, lacks the array `needed`, or nothing can be made of it.
    """
    try:
        with open(path, "rb") as whole, np.load(whole, allow_pickle=False) as file:
            arrays = {name: _checked(name, file[name]) for name in file.files}
        arrays[needed]
        return make(arrays)
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        raise ValueError(
            f"This is not a file of `{owner}`. Expected a file that `{owner}.save()` wrote. Received: {path} ({error})"
        ) from error


def _checked(name, array):
    """Returns what NumPy has read, which is bytes where a part of a file is no array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"'{name}' is no array")
    return array

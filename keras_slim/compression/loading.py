"""Reads what `save_compressed` wrote: the model, or what is in the file."""

import contextlib
import os
import tempfile
from typing import Any

import keras
import numpy as np

import keras_slim.layers  # noqa: F401  so that Keras knows them
from keras_slim.coding import decode_text, take_census
from keras_slim.coding.arrays import decode_pieces
from keras_slim.compression.header import read_header
from keras_slim.compression.keras_folder import (
    holds_lambda,
    load_folder,
    open_weights,
    write_array,
    write_asset,
    write_config,
)
from keras_slim.compression.late_weights import can_load_late, load_late
from keras_slim.compression.report import CompressionReport
from keras_slim.compression.saving import make_report
from keras_slim.compression.sealed_file import open_sealed
from keras_slim.errors import CompressedFileError, first_sentence
from keras_slim.validation import check_count

MAX_BYTES = 1 << 30


def load_compressed(
    path: str | os.PathLike,
    custom_objects: dict[str, Any] | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    verbose: int = 0,
) -> keras.Model:
    """Returns the model in a file that `save_compressed` wrote, bit for bit.

    The whole file is checked against its digest before anything in it is read, and what it declares against limits
    before memory is taken for it. The digest finds damage; a person can compute it anew. Such a file, too, runs no
    code: there is no pickle in it, and Keras reads the architecture in its safe mode: a Python `lambda` is
    refused, unless `keras.config.enable_unsafe_deserialization()` was called. Layers of your own are code of yours, and
    run.

    Args:
        path: Path of the file.
        custom_objects: Layers and functions of your own by name, as for `keras.saving.load_model`.
        max_bytes: Most bytes that the weights and assets may have in memory, those in the file and those that the
            architecture asks for. As a text, the architecture may have 16 MiB.
        verbose: 1 shows a progress bar, in weights; after it, Keras builds the model.

    Returns:
        The model, a plain Keras model, not compiled.

    Raises:
        FileNotFoundError: If there is no such file.
        CompressedFileError: If it is no such file, has been damaged, has another version, is larger than allowed, or
            Keras cannot build its model.

    Example:

    >>> from keras_slim.compression import save_compressed
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.slim.h5")
    ...     report = save_compressed(model, path)
    ...     same = load_compressed(path)
    >>> import numpy as np
    >>> bool(np.array_equal(same.layers[0].kernel, model.layers[0].kernel))
    True
    """
    check_count(max_bytes, "max_bytes", "load_compressed")
    with tempfile.TemporaryDirectory(prefix="keras_slim_") as folder:
        with _refusals(path), open_sealed(path) as content, open_weights(folder, "w") as file:
            header, start = read_header(content, max_bytes)
            write_config(folder, header.config, header.keras_version)
            for entry, array in _arrays(content, header, start, verbose):
                array = array.astype(entry.item_type, copy=False)
                write_array(file, entry.group, entry.layer, entry.key, entry.dtype, array)
            start += sum(entry.length for entry in header.arrays)
            for entry, code in _parts(content, header.assets, start):
                write_asset(folder, entry.name, decode_text(code, entry.bytes))
        return _load(folder, path, header.config, custom_objects, max_bytes)


def inspect_compressed(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES, verbose: int = 0) -> CompressionReport:
    """Returns what is in a file that `save_compressed` wrote, layer by layer.

    The model is not built.

    Args:
        path: Path of the file.
        max_bytes: As for `load_compressed`.
        verbose: 1 shows a progress bar, in weights.

    Returns:
        The `CompressionReport`, the same that `save_compressed` returned.

    Raises:
        FileNotFoundError: If there is no such file.
        CompressedFileError: If it is no such file, has been damaged, has another version, or is larger than allowed.
    """
    check_count(max_bytes, "max_bytes", "inspect_compressed")
    with _refusals(path), open_sealed(path) as content:
        header, start = read_header(content, max_bytes)
        censuses = [take_census(array) for _, array in _arrays(content, header, start, verbose)]
        return make_report(os.fspath(path), header, censuses, start, os.path.getsize(path))


def _parts(content, entries, place):
    """Yields each entry with its bytes."""
    for entry in entries:
        yield entry, bytes(content[place : place + entry.length])
        place += entry.length


def _arrays(content, header, start, verbose):
    """Yields each array with its entry, of the dtype it has in the file."""
    bar = keras.utils.Progbar(sum(entry.size for entry in header.arrays), verbose=verbose, unit_name="weight")
    for entry, code in _parts(content, header.arrays, start):
        array = np.empty(entry.shape, _stored_type(entry))
        for size in decode_pieces(code, array):
            bar.add(size)
        yield entry, array


def _stored_type(entry):
    if entry.stored != entry.item_type.str and (entry.stored, entry.item_type.kind) != ("<f2", "f"):
        raise ValueError(f"the dtype {entry.dtype} is stored as {entry.stored}")
    return np.dtype(entry.stored)


def _load(folder, path, config, custom_objects, max_bytes):
    def load():
        return load_folder(folder, custom_objects)

    try:
        return load_late(load, max_bytes) if can_load_late(config) else load()
    except CompressedFileError as error:
        raise CompressedFileError(_refusal(path, error)) from error
    except Exception as error:  # whatever Keras, or a layer, makes of a configuration
        way_out = "Layers of your own have to be given as `custom_objects`, or be registered."
        if holds_lambda(config):
            way_out += (
                " It holds a Python `lambda`, which is code: if you trust it, and it is that of a `Lambda` layer, call "
                "`keras.config.enable_unsafe_deserialization()` before."
            )
        raise CompressedFileError(
            f"Keras cannot build the model in this file: {first_sentence(error)} ({way_out}) Received: {path}"
        ) from error


@contextlib.contextmanager
def _refusals(path):
    """Words everything that is wrong with a file in the same way."""
    with open(path, "rb"):  # a file that is missing, or a folder, is named by Python itself
        pass
    try:
        yield
    except Exception as error:  # HDF5, JSON, zlib and NumPy each raise their own
        reason = error if isinstance(error, CompressedFileError) else f"It is damaged: {error}"
        raise CompressedFileError(_refusal(path, reason)) from error


def _refusal(path, reason):
    return (
        f"This file cannot be read. {reason}. Expected a file that `keras_slim.save_compressed` wrote. Received: {path}"
    )

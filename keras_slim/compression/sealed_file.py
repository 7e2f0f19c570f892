"""Bytes in one dataset of an HDF5 file, behind which stands a digest of the whole file.

The digest is compared before HDF5 is asked to read anything: a file that was cut off or changed is refused, whatever
the library would make of it. It protects from damage, not from a person who computes it anew.
"""

import contextlib
import hashlib
import os
import struct

import h5py
import numpy as np

from keras_slim.errors import CompressedFileError

VERSION = 2
READ = 1, 2  # a file of version 1 has no blocks that share vectors
_DATASET = "model"
_MARK = b"keras_slim"
_SEAL = struct.Struct(f"<16sH{len(_MARK)}s")  # digest, version of the format, mark
_BLOCK = 1 << 20


def write_sealed(path, parts):
    """Writes bytes, one after the other, to a new HDF5 file and seals it.

    Args:
        path: Path of the file.
        parts: List of bytes.
    """
    with _create(path) as file:
        dataset = file.create_dataset(_DATASET, (sum(map(len, parts)),), "uint8", track_times=False)
        place = 0
        for part in parts:
            dataset[place : place + len(part)] = np.frombuffer(part, "uint8")
            place += len(part)
    with open(path, "r+b") as file:
        digest = _digest(file, os.path.getsize(path), VERSION)
        file.seek(0, os.SEEK_END)
        file.write(_SEAL.pack(digest, VERSION, _MARK))


def _create(path):
    """Opens a new file of a compact format, which HDF5 1.10 and later read: no times in it, no blocks kept free."""
    creation, access = (h5py.h5p.create(kind) for kind in (h5py.h5p.FILE_CREATE, h5py.h5p.FILE_ACCESS))
    creation.set_obj_track_times(False)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_meta_block_size(0)
    return h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, creation, access))


@contextlib.contextmanager
def open_sealed(path):
    """Opens a file that `write_sealed` wrote.

    Args:
        path: Path of the file.

    Yields:
        The dataset of bytes.

    Raises:
        CompressedFileError: If it is no such file, is of another version, or has changed.
    """
    _check_seal(path)
    with h5py.File(path, "r") as file:
        dataset = file.get(_DATASET) if isinstance(file.get(_DATASET, getlink=True), h5py.HardLink) else None
        if not isinstance(dataset, h5py.Dataset) or not _is_plain(dataset, os.path.getsize(path)):
            raise CompressedFileError("It does not hold what its seal promises")
        yield dataset


def _check_seal(path):
    size = os.path.getsize(path) - _SEAL.size
    with open(path, "rb") as file:
        file.seek(max(0, size))
        seal = file.read()
        if size < 0 or not seal.endswith(_MARK):
            raise CompressedFileError("It is no compressed model, or its end is missing")
        digest, version, _ = _SEAL.unpack(seal)
        if version not in READ:
            read = " and ".join(map(str, READ))
            raise CompressedFileError(f"Its format has version {version}, and this keras_slim reads {read}")
        if _digest(file, size, version) != digest:
            raise CompressedFileError("It has been damaged since it was written")


def _is_plain(dataset, size):
    """Whether a dataset is bytes that stand in the file itself, as many as it says."""
    return (
        dataset.dtype == "uint8"
        and dataset.ndim == 1
        and not dataset.is_virtual
        and not dataset.external
        and dataset.chunks is None
        and dataset.size == dataset.id.get_storage_size() <= size
    )


def _digest(file, size, version):
    """Returns the digest of the first bytes of an open file."""
    digest = hashlib.blake2b(version.to_bytes(2, "little"), digest_size=16)
    file.seek(0)
    while size and (block := file.read(min(size, _BLOCK))):
        digest.update(block)
        size -= len(block)
    return digest.digest()

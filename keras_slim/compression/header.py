"""What stands at the front of a compressed model: the architecture, and which arrays and assets follow.

The header is JSON, deflated with a dictionary of words that Keras's configurations are made of. Everything it declares
is checked against limits before memory is taken for it.
"""

import dataclasses
import functools
import importlib.resources
import json
import math
from typing import Any

import numpy as np

from keras_slim.coding import decode_text, encode_text
from keras_slim.coding.byte_reader import ByteReader, framed
from keras_slim.compression.architecture import declared_weights
from keras_slim.compression.keras_folder import NUMBERS
from keras_slim.errors import CompressedFileError

MOST_HEADER_BYTES = 1 << 24
_MOST_AXES = 32  # of HDF5
_MOST_PREFIX = 10  # bytes that hold the length of the header


@dataclasses.dataclass(frozen=True)
class ArrayEntry:
    """An array in the file.

    Args:
        group: Path of its group in Keras's file of weights.
        layer: Name of the layer.
        key: Its name in the group.
        dtype: Its dtype in Keras's file.
        shape: Its shape.
        length: Bytes it takes in this file.
        stored: Its dtype in this file.
    """

    group: str
    layer: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    length: int
    stored: str

    def __post_init__(self):
        _check_types(self)
        if len(self.shape) > _MOST_AXES or any(type(size) is not int or not 0 <= size < 1 << 63 for size in self.shape):
            raise ValueError(f"'{self.group}/{self.key}' has the shape {str(self.shape)[:99]}")
        if self.item_type.kind not in NUMBERS or self.item_type.fields:
            raise ValueError(f"'{self.group}/{self.key}' has the dtype {self.dtype}")

    @property
    def item_type(self) -> np.dtype:
        """The dtype that NumPy has for it; bytes where it has none."""
        return np.dtype(self.dtype) if self.dtype[0] in "<>|" else np.dtype("V2")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the array in memory."""
        return self.size * self.item_type.itemsize


@dataclasses.dataclass(frozen=True)
class AssetEntry:
    """A file that a layer keeps beside its weights.

    Args:
        name: Its relative path.
        bytes: Its size.
        length: Bytes it takes in this file.
    """

    name: str
    bytes: int
    length: int

    def __post_init__(self):
        _check_types(self)


@dataclasses.dataclass(frozen=True)
class Header:
    """The architecture, and what follows it in the file, in this order: arrays, assets.

    Args:
        config: Configuration of the model as Keras has it.
        keras_version: Version of Keras that saved it.
        arrays: The arrays.
        assets: The assets.
    """

    config: dict[str, Any]
    keras_version: str
    arrays: list[ArrayEntry]
    assets: list[AssetEntry]

    @property
    def entries(self) -> list[ArrayEntry | AssetEntry]:
        """What follows the header."""
        return [*self.arrays, *self.assets]

    def encode(self) -> bytes:
        """Returns the header as bytes that end by themselves."""
        plain = {
            "keras_version": self.keras_version,
            "config": self.config,
            "arrays": [list(dataclasses.astuple(array)) for array in self.arrays],
            "assets": [list(dataclasses.astuple(asset)) for asset in self.assets],
        }
        text = json.dumps(plain, separators=(",", ":")).encode()
        if len(text) > MOST_HEADER_BYTES:
            raise ValueError(f"The architecture has {len(text):,} bytes. Expected {MOST_HEADER_BYTES:,} at most.")
        return framed(encode_text(text, _words()))


def read_header(content, max_bytes: int) -> tuple[Header, int]:
    """Returns the header of a compressed model, and how many bytes it takes.

    Args:
        content: The bytes of the model, or a dataset of them.
        max_bytes: Most bytes that arrays and assets may have together, and the weights of stock layers as float32.

    Raises:
        ValueError: If it is no header, or does not fit what follows.
        CompressedFileError: If the model is larger than allowed.
    """
    prefix = ByteReader(bytes(content[:_MOST_PREFIX]))
    length = prefix.varint()
    start = min(_MOST_PREFIX, len(content)) - prefix.left
    if length > min(len(content), MOST_HEADER_BYTES):
        raise ValueError("the header is longer than it may be")
    plain = json.loads(decode_text(bytes(content[start : start + length]), MOST_HEADER_BYTES, _words()))
    arrays = [
        ArrayEntry(group, layer, key, dtype, tuple(shape), length, stored)
        for group, layer, key, dtype, shape, length, stored in plain["arrays"]
    ]
    assets = [AssetEntry(*entry) for entry in plain["assets"]]
    header = Header(plain["config"], plain["keras_version"], arrays, assets)
    _check_types(header)
    if start + length + sum(entry.length for entry in header.entries) != len(content):
        raise ValueError("the parts do not add up to the file")
    check_size(sum(entry.bytes for entry in header.entries), max_bytes)
    check_size(4 * declared_weights(header.config), max_bytes)
    return header, start + length


def check_size(size, max_bytes):
    """Raises `CompressedFileError` if a model takes more bytes than it may."""
    if size > max_bytes:
        raise CompressedFileError(
            f"The model takes at least {size:,} bytes. Expected {max_bytes:,} at most. If you trust the file, give a "
            "higher `max_bytes`"
        )


def _check_types(entry):
    """Raises `ValueError` if a field is of another type than its class says, or a number is negative."""
    for field in dataclasses.fields(entry):
        value = getattr(entry, field.name)
        expected = getattr(field.type, "__origin__", field.type)
        if not isinstance(value, expected) or (expected is int and (value < 0 or isinstance(value, bool))):
            raise ValueError(f"the entry `{field.name}` is {value!r}")


@functools.cache
def _words():
    """Returns what configurations of Keras are made of; part of the format, so it never changes."""
    text = importlib.resources.files("keras_slim.compression").joinpath("words.txt").read_text(encoding="ascii")
    return text.replace("\n", "").encode()

"""Any array in few bytes, bit for bit: zeros apart, few values or blocks as a codebook, the rest byte by byte.

What pays is seen from the array itself. Bit patterns are compared, not values, so that -0.0 and every NaN come back.
Arrays are coded in pieces of some million elements, which bounds the memory; those whose blocks have few patterns as a
whole, since a block may lie across pieces.
"""

import dataclasses
import math

import numpy as np

from keras_slim.coding.blocks import Cut
from keras_slim.coding.byte_reader import ByteReader, framed, varint
from keras_slim.coding.entropy import decode_symbols, encode_symbols, information
from keras_slim.coding.positions import decode_positions, encode_positions
from keras_slim.coding.shared_blocks import MOST_SIZE, SharedBlocks, find_shared_blocks

_PIECE = 1 << 22  # most elements coded at once
_SMALL = 1 << 16  # up to so many, every way is tried
_MOST_VALUES = 256
_DENSE, _SPARSE, _BLOCKS = range(3)
_PLANES, _CODEBOOK = range(2)


def encode_array(array: np.ndarray) -> bytes:
    """Returns an array of numbers as few bytes, from which it comes back bit for bit.

    The cheapest of: all elements, or those that are not zero with their positions; as the bytes they have, or as a
    codebook of up to 256 values with codes; or as codebooks of patterns that blocks of consecutive elements have, with
    a code for each block. All of it is entropy-coded.

    Args:
        array: Array of numbers or booleans, of any shape.

    Returns:
        The code. `decode_array` needs the dtype and the shape beside it.

    Example:

    >>> kernel = np.zeros((300, 100), "float32")
    >>> kernel[::20, ::5] = 0.5
    >>> len(encode_array(kernel)), kernel.nbytes
    (62, 120000)
    """
    return b"".join(code for _, code in encode_pieces(array))


def encode_pieces(array):
    """Yields what `encode_array` joins, each with the number of elements in it."""
    pieces = ((piece.size, _encode_piece(piece)) for piece in _pieces(_as_matrix(array)))
    shared = find_shared_blocks(array)
    if shared is None:
        yield from pieces
        return
    pieces, code = [*pieces], _encode_blocks(array, shared)
    yield from [(array.size, code)] if len(code) < sum(len(each) for _, each in pieces) else pieces


def decode_array(code: bytes, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the array that `encode_array` was given.

    Args:
        code: What it returned.
        dtype: The dtype of the array.
        shape: Its shape. No more memory is taken than it needs.

    Returns:
        The array.

    Raises:
        ValueError: If these bytes are no code of such an array.

    Example:

    >>> decode_array(encode_array(np.array([0.0, -0.0, 2.5])), "float64", (3,)).tolist()
    [0.0, -0.0, 2.5]
    """
    array = np.empty(shape, dtype)
    for _ in decode_pieces(code, array):
        pass
    return array


def decode_pieces(code, array):
    """Fills an array as `decode_array` does, and yields the number of elements in each piece."""
    reader = ByteReader(code)
    if array.ndim > 1 and array.size and reader.left and code[0] == _BLOCKS:
        array[...] = _decode_blocks(reader, array.shape, array.dtype)
        reader.check_end()
        yield array.size
        return
    for piece in _pieces(_as_matrix(array)):
        piece[:] = _decode_piece(reader, piece.shape, piece.dtype)
        yield piece.size
    reader.check_end()


@dataclasses.dataclass(frozen=True)
class Census:
    """What an array has in it.

    Args:
        size: Number of elements.
        kept: How many of them are not zero; -0.0 is not.
        values: The different bit patterns of these, sorted, or None where there are more than 256.
        item_bits: Bits of an element.
        block: How many elements a code is for.
        block_bits: Bits of a code where it is for several.
    """

    size: int
    kept: int
    values: np.ndarray | None
    item_bits: int
    block: int = 1
    block_bits: int = 0

    @property
    def bits(self) -> int:
        """Bits that tell which of the values an element, or a block, has; those of an element where they share none."""
        if self.block > 1:
            return self.block_bits
        if self.values is None or not self.is_shared:
            return self.item_bits
        return max(0, len(self.values) - 1).bit_length()

    @property
    def is_shared(self) -> bool:
        """Whether each of the values, or patterns of a block, stands for two or more on average."""
        return self.block > 1 or (self.values is not None and 2 * len(self.values) <= self.kept)

    @property
    def is_sparse(self) -> bool:
        """Whether half of the elements or more are zero."""
        return 2 * self.kept <= self.size


def take_census(array: np.ndarray) -> Census:
    """Counts the elements of an array that are kept, and their different values.

    Args:
        array: Array of numbers or booleans, of any shape.

    Returns:
        The `Census`.

    Example:

    >>> census = take_census(np.array([0.0, 0.5, 0.5, 2.0, 2.0]))
    >>> census.size, census.kept, census.bits
    (5, 4, 1)
    """
    kept, values = 0, _few_values(np.zeros(0, "uint8"))
    for piece in _pieces(_as_matrix(array)):
        others = piece[piece != 0]
        kept += others.size
        found = None if values is None else _few_values(others)
        values = None if found is None else _few_values(np.concatenate([values, found]))
    census = Census(array.size, min(kept, array.size), values, 8 * array.dtype.itemsize)
    shared = find_shared_blocks(array)
    if shared is None or (census.is_shared and _cost(array) <= shared.cost):
        return census
    return dataclasses.replace(census, block=shared.cut.size, block_bits=shared.bits)


def _cost(array):
    """Returns the bits that a code for each element takes, and the codebook, about."""
    items = _as_matrix(array)
    values, counts = np.unique(items[items != 0], return_counts=True)
    return information(counts) + 8 * values.nbytes


def _few_values(items):
    """Returns the different elements, sorted, or None where there are more than 256."""
    if len(np.unique(items[: 8 * _MOST_VALUES])) > _MOST_VALUES:
        return None
    values = np.unique(items)
    return values if len(values) <= _MOST_VALUES else None


def _as_matrix(array):
    """Returns the bit patterns of an array as whole numbers, its last axis along the columns."""
    flat = np.ascontiguousarray(array).reshape(-1)
    size = flat.itemsize if flat.itemsize in (1, 2, 4, 8) else 1
    items = flat.view(f"u{size}")
    is_matrix = array.ndim > 1 and items.size and array.shape[-1] <= _PIECE
    return items.reshape(-1, array.shape[-1] if is_matrix else 1)


def _pieces(matrix):
    height = max(1, _PIECE // matrix.shape[1])
    return (matrix[first : first + height] for first in range(0, len(matrix), height))


def _encode_piece(items):
    kept = items != 0
    number = np.count_nonzero(kept)
    if items.size <= _SMALL:
        ways = (_DENSE, _SPARSE) if number < items.size else (_DENSE,)
    else:
        ways = (_SPARSE,) if number < 0.75 * items.size else (_DENSE,)
    codes = {
        _DENSE: lambda: _encode_values(items.ravel()),
        _SPARSE: lambda: encode_positions(kept) + _encode_values(items[kept]),
    }
    return min((bytes([way]) + codes[way]() for way in ways), key=len)


def _decode_piece(reader, shape, dtype):
    way = reader.byte()
    if way == _DENSE:
        return _decode_values(reader, shape[0] * shape[1], dtype).reshape(shape)
    if way != _SPARSE:
        raise ValueError(f"no way to store an array has the number {way}")
    kept = decode_positions(reader, shape)
    items = np.zeros(shape, dtype)
    items[kept] = _decode_values(reader, int(np.count_nonzero(kept)), dtype)
    return items


def _encode_blocks(array, shared):
    matrix = _as_matrix(array)
    kept = matrix != 0
    cut, books = shared.cut, zip(shared.lengths.tolist(), shared.sizes.tolist(), strict=True)
    head = bytes([_BLOCKS, cut.within_rows, cut.size, not kept.all()])
    sizes = varint(len(shared.sizes)) + b"".join(varint(each) for book in books for each in book)
    positions = b"" if kept.all() else encode_positions(kept)
    codes = framed(encode_symbols(shared.codes))
    return head + sizes + positions + _encode_planes(shared.patterns.ravel()) + codes


def _decode_blocks(reader, shape, dtype):
    _, within_rows, size, is_sparse = reader.take(4)
    cut = Cut(shape, size, bool(within_rows))
    if within_rows > 1 or not 1 < size <= min(MOST_SIZE, cut.width) or dtype.itemsize not in (2, 4, 8):
        raise ValueError(f"no array is cut into blocks like {size}, {within_rows}")
    number = reader.varint()
    if number > cut.rows:
        raise ValueError("there are more codebooks than rows of blocks")
    books = np.array([[reader.varint(), reader.varint()] for _ in range(number)], "int64").reshape(-1, 2)
    lengths, sizes = books.T
    if lengths.max(initial=0) > cut.rows or sizes.max(initial=0) > min(_MOST_VALUES, cut.rows * cut.columns):
        raise ValueError("a codebook is too large")
    matrix = (math.prod(shape[:-1]), shape[-1])
    kept = (decode_positions(reader, matrix) if is_sparse else np.ones(matrix, bool)).reshape(shape)
    live = np.count_nonzero(cut(kept).any(axis=2))
    if sizes.sum() > live:
        raise ValueError("there are more patterns than blocks")
    if reader.byte() != _PLANES:
        raise ValueError("patterns are stored in no known way")
    patterns = _decode_planes(reader, int(sizes.sum()) * size, np.dtype(f"u{dtype.itemsize}")).reshape(-1, size)
    shared = SharedBlocks(cut, lengths, sizes, patterns, decode_symbols(reader.framed(), live))
    shared.check(kept)
    return shared.array(kept).view(dtype)


def _encode_values(values):
    book = _few_values(values)
    if book is None or not values.size:
        return _encode_planes(values)
    codes = np.searchsorted(book, values).astype("uint8")
    shared = bytes([_CODEBOOK, len(book) - 1]) + book.tobytes() + framed(encode_symbols(codes))
    return min(shared, _encode_planes(values), key=len) if values.size <= _SMALL else shared


def _decode_values(reader, number, dtype):
    kind = reader.byte()
    if kind == _PLANES:
        return _decode_planes(reader, number, dtype)
    if kind != _CODEBOOK:
        raise ValueError(f"no kind of values has the number {kind}")
    length = 1 + reader.byte()
    book = np.frombuffer(reader.take(length * dtype.itemsize), dtype)
    codes = decode_symbols(reader.framed(), number)
    if codes.size and codes.max() >= length:
        raise ValueError("a code lies outside its codebook")
    return book[codes]


def _encode_planes(values):
    planes = values.view("uint8").reshape(-1, values.itemsize).T
    return bytes([_PLANES]) + b"".join(framed(encode_symbols(plane)) for plane in planes)


def _decode_planes(reader, number, dtype):
    planes = np.empty((number, dtype.itemsize), "uint8")
    for plane in planes.T:
        plane[:] = decode_symbols(reader.framed(), number)
    return planes.view(dtype).ravel()

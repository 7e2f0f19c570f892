"""Where the few weights are that are not zero: dead rows and columns first, then the gaps between the rest.

The gaps are Deep Compression's relative indices. Of each, the lower bits, which are nearly random, are stored as they
are, and only the upper ones are entropy-coded; how many is chosen by cost, and so is the order, row by row or column by
column.
"""

import numpy as np

from keras_slim.coding.byte_reader import framed, varint
from keras_slim.coding.entropy import decode_symbols, encode_symbols, information

_OVERFLOW = 255  # stands for this much of a gap, with more to follow
_MOST_LOW_BITS = 24


def encode_positions(kept: np.ndarray) -> bytes:
    """Returns a matrix of booleans as few bytes.

    Args:
        kept: Matrix, true where a weight is kept.

    Returns:
        The code, which ends by itself.
    """
    rows, columns = kept.any(axis=1), kept.any(axis=0)
    lively = kept if rows.all() and columns.all() else kept[rows][:, columns]
    codes = [_encode_gaps(_gaps(matrix)) for matrix in (lively, lively.T)]
    by_column = len(codes[1]) < len(codes[0])
    return (
        framed(encode_symbols(rows.view("uint8")))
        + framed(encode_symbols(columns.view("uint8")))
        + bytes([by_column])
        + codes[by_column]
    )


def decode_positions(reader, shape) -> np.ndarray:
    """Returns the matrix that `encode_positions` was given.

    Args:
        reader: `ByteReader` that stands where the code begins.
        shape: Rows and columns of the matrix. No more memory is taken than it needs.

    Returns:
        Matrix of booleans.

    Raises:
        ValueError: If these bytes are no code of a matrix of that shape.
    """
    rows, columns = (decode_symbols(reader.framed(), length) == 1 for length in shape)
    height, width = int(np.count_nonzero(rows)), int(np.count_nonzero(columns))
    by_column = reader.byte()
    flat = np.zeros(height * width, bool)
    flat[_places(_decode_gaps(reader, flat.size), flat.size)] = True
    lively = flat.reshape(width, height).T if by_column else flat.reshape(height, width)
    if lively.shape == tuple(shape):
        return np.ascontiguousarray(lively)
    kept = np.zeros(shape, bool)
    kept[np.ix_(rows, columns)] = lively
    return kept


def _gaps(matrix):
    return np.diff(np.flatnonzero(matrix), prepend=-1) - 1


def _places(gaps, number):
    places = np.cumsum(gaps + 1) - 1
    if len(gaps) and not (gaps.max() < number and places[-1] < number):
        raise ValueError("a position lies outside its array")
    return places


def _encode_gaps(gaps):
    low_bits = _cheapest_split(gaps)
    high = _with_overflows(gaps >> low_bits)
    low = (gaps[:, None] >> np.arange(low_bits)) & 1
    return (
        varint(len(gaps))
        + bytes([low_bits])
        + varint(len(high))
        + framed(encode_symbols(high))
        + np.packbits(low.astype("uint8")).tobytes()
    )


def _decode_gaps(reader, most):
    number, low_bits, num_high = reader.varint(), reader.byte(), reader.varint()
    if number > most or low_bits > _MOST_LOW_BITS or num_high > number + most // _OVERFLOW:
        raise ValueError("there are more positions than places")
    high = _without_overflows(decode_symbols(reader.framed(), num_high), number)
    packed = np.frombuffer(reader.take(-(-number * low_bits // 8)), "uint8")
    low = np.unpackbits(packed, count=number * low_bits).reshape(number, low_bits)
    return (high << low_bits) + low @ (1 << np.arange(low_bits))


def _cheapest_split(gaps):
    """Returns how many lower bits of each gap to store as they are."""
    if not len(gaps):
        return 0
    middle = int(gaps.mean()).bit_length()
    return min(range(max(0, middle - 7), min(_MOST_LOW_BITS, middle) + 1), key=lambda bits: _cost(gaps, bits))


def _cost(gaps, low_bits):
    """Returns about how many bits gaps take, a byte for each different symbol in the table included."""
    high = gaps >> low_bits
    counts = np.bincount(np.minimum(high, _OVERFLOW))
    counts[-1] += (high // _OVERFLOW).sum()
    return information(counts) + 8 * np.count_nonzero(counts) + low_bits * len(gaps)


def _with_overflows(numbers):
    """Returns numbers below 256: each number as overflows, and a rest below them."""
    overflows, rests = np.divmod(numbers, _OVERFLOW)
    symbols = np.full(len(numbers) + int(overflows.sum()), _OVERFLOW, "uint8")
    symbols[np.cumsum(overflows + 1) - 1] = rests
    return symbols


def _without_overflows(symbols, number):
    ends = np.flatnonzero(symbols != _OVERFLOW)
    if len(ends) != number or (number and ends[-1] != len(symbols) - 1):
        raise ValueError("gaps do not match their number")
    return np.diff(ends, prepend=-1) * _OVERFLOW - _OVERFLOW + symbols[ends]

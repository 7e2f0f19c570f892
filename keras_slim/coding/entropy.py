"""Small numbers in as many bits as their frequencies ask for: range asymmetric numeral systems, or deflate.

Huffman trees spend a whole bit on a symbol that is nearly certain: on skewed streams of a few thousand symbols, deflate
and LZMA of the standard library stay 3 to 14 % above the entropy. Numeral systems do not, and NumPy codes the symbols
in lanes side by side; but their table of frequencies is longer than deflate's trees, which win where there are many
different symbols in a short stream.
"""

import zlib

import numpy as np

from keras_slim.coding.byte_reader import ByteReader, varint

_RAW, _CONSTANT, _CODED, _DEFLATED = range(4)
_LOWEST = 1 << 16  # a lane's number stays in [2^16, 2^32); a word of 16 bits leaves it, or comes back
_LEAST_BITS, _MOST_BITS = 10, 14
_BYTES_PER_LANE, _MOST_STEPS = 1024, 1 << 14
_FEW_LANES = 32
_MOST_DEFLATED = 1 << 16


def encode_symbols(symbols: np.ndarray) -> bytes:
    """Returns numbers below 256 as few bytes, close to their entropy.

    Range asymmetric numeral systems with one table of frequencies, which is part of the result, or Huffman trees of
    deflate, or the symbols themselves: whichever is shortest.

    Args:
        symbols: Array of dtype uint8.

    Returns:
        The code. `decode_symbols` needs their number beside it.

    Example:

    >>> symbols = np.repeat(np.array([0, 1], "uint8"), [9000, 1000])
    >>> len(encode_symbols(symbols))  # the entropy is 586 bytes
    598

    Reference:
        Duda (2013), "Asymmetric numeral systems", arXiv:1311.2540
    """
    symbols = np.ascontiguousarray(symbols).ravel()
    counts = np.bincount(symbols, minlength=1)
    if symbols.size and counts.max() == symbols.size:
        return bytes([_CONSTANT, symbols[0]])
    raw = bytes([_RAW]) + symbols.tobytes()
    if information(counts) / 8 >= 0.99 * symbols.size:
        return raw
    codes = [raw, _encode(symbols, counts)]
    if symbols.size <= _MOST_DEFLATED:
        codes.append(_deflate(symbols))
    return min(codes, key=len)


def decode_symbols(code: bytes, number: int) -> np.ndarray:
    """Returns the symbols that `encode_symbols` was given.

    Args:
        code: What it returned.
        number: How many symbols there are. No more memory is taken than they need.

    Returns:
        Array of dtype uint8.

    Raises:
        ValueError: If these bytes are no code of that many symbols.

    Example:

    >>> decode_symbols(encode_symbols(np.array([3, 3, 3], "uint8")), 3).tolist()
    [3, 3, 3]
    """
    reader = ByteReader(code)
    kind = reader.byte()
    if kind == _CONSTANT:
        symbols = np.full(number, reader.byte(), "uint8")
    elif kind == _RAW:
        symbols = np.frombuffer(reader.take(number), "uint8")
    elif kind == _CODED:
        symbols = _decode(reader, number)
    elif kind == _DEFLATED:
        symbols = _inflate(reader, number)
    else:
        raise ValueError(f"no kind of code has the number {kind}")
    reader.check_end()
    return symbols


def information(counts: np.ndarray) -> float:
    """Returns the bits that symbols take at least, given how often each occurs.

    Args:
        counts: Array of frequencies.

    Returns:
        The entropy of one symbol times their number.

    Example:

    >>> information(np.array([2, 1, 1]))
    6.0
    """
    counts = counts[counts > 0]
    return float(counts @ -np.log2(counts / counts.sum()))


def _deflate(symbols):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return bytes([_DEFLATED]) + deflate.compress(symbols.tobytes()) + deflate.flush()


def _inflate(reader, number):
    """Returns the symbols, and never has more of them than it should."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflate.decompress(reader.take(reader.left), number + 1)
    except zlib.error as error:
        raise ValueError(f"deflated bytes are damaged: {error}") from error
    if len(found) != number or not inflate.eof or inflate.unused_data:
        raise ValueError(f"deflated bytes do not hold {number} symbols")
    return np.frombuffer(found, "uint8")


def _encode(symbols, counts):
    bits = min(_MOST_BITS, max(_LEAST_BITS, symbols.size.bit_length() - 3))
    frequencies = _frequencies(counts, bits)
    lanes = 1 + max(int(information(counts) / 8) // _BYTES_PER_LANE, symbols.size // _MOST_STEPS)
    steps = np.pad(symbols, (0, -symbols.size % lanes), constant_values=counts.argmax()).reshape(-1, lanes)
    starts = (np.cumsum(frequencies) - frequencies).astype("uint32")
    limits = (frequencies << (32 - bits)).astype("uint32")
    frequencies = frequencies.astype("uint32")
    state, words = np.full(lanes, _LOWEST, "uint32"), []
    for step in steps[::-1]:
        full = state >= limits[step]
        words.append(state[full].astype("<u2"))
        state[full] >>= 16
        quotient, rest = np.divmod(state, frequencies[step])
        state = (quotient << bits) + rest + starts[step]
    table = b"".join(map(varint, frequencies.tolist()))
    head = bytes([_CODED, bits, len(frequencies) - 1]) + table + varint(lanes)
    return head + state.astype("<u4").tobytes() + np.concatenate(words[::-1]).tobytes()


def _frequencies(counts, bits):
    """Returns whole numbers in proportion to counts that add up to 2^bits, none of them 0 without need."""
    present = counts > 0
    room = (1 << bits) - int(present.sum())
    frequencies = present + counts * room // counts.sum()
    frequencies[counts.argmax()] += (1 << bits) - frequencies.sum()
    return frequencies


def _decode(reader, number):
    bits = reader.byte()
    frequencies = np.array([reader.varint() for _ in range(1 + reader.byte())], "uint64")
    lanes = reader.varint()
    if not 0 < bits <= _MOST_BITS or frequencies.max() > 1 << bits or frequencies.sum() != 1 << bits:
        raise ValueError("a table of frequencies does not add up")
    if not max(1, number / _MOST_STEPS) <= lanes <= max(1, number):
        raise ValueError("there are too many lanes, or too few")
    frequencies = frequencies.astype("uint32")
    starts = np.cumsum(frequencies, dtype="uint32") - frequencies
    table = np.repeat(np.arange(len(frequencies), dtype="uint8"), frequencies)
    state = np.frombuffer(reader.take(4 * lanes), "<u4").astype("uint32")
    words = np.frombuffer(reader.take(reader.left), "<u2")
    num_steps = -(-number // lanes)
    if len(words) > num_steps * lanes:
        raise ValueError("a code is longer than its symbols")
    walk = _walk_few if lanes <= _FEW_LANES else _walk
    symbols, left = walk(state, words, table, frequencies, starts, bits, num_steps)
    if left or (state != _LOWEST).any():
        raise ValueError("a code does not end where it began")
    return symbols[:number]


def _walk(state, words, table, frequencies, starts, bits, num_steps):
    """Returns the symbols, and how many words are left; in `state` is what each lane ends with."""
    steps = np.empty((num_steps, len(state)), "uint8")
    place = 0
    for step in steps:
        slot = state & ((1 << bits) - 1)
        step[:] = table[slot]
        state[:] = frequencies[step] * (state >> bits) + slot - starts[step]
        empty = state < _LOWEST
        end = place + int(np.count_nonzero(empty))
        if end > len(words):
            raise ValueError("a code ends too early")
        state[empty] = (state[empty] << 16) | words[place:end]
        place = end
    return steps.ravel(), len(words) - place


def _walk_few(state, words, table, frequencies, starts, bits, num_steps):
    """Returns what `_walk` does; where lanes are few, one symbol after the other is faster than all of a step."""
    mask, lanes = (1 << bits) - 1, state.tolist()
    table, frequencies, starts = table.tobytes(), frequencies.tolist(), starts.tolist()
    symbols, words = bytearray(), iter(words.tolist())
    try:
        for _ in range(num_steps):
            for lane, number in enumerate(lanes):
                slot = number & mask
                symbol = table[slot]
                number = frequencies[symbol] * (number >> bits) + slot - starts[symbol]
                lanes[lane] = number if number >= _LOWEST else number << 16 | next(words)
                symbols.append(symbol)
    except StopIteration:
        raise ValueError("a code ends too early") from None
    state[:] = lanes
    return np.frombuffer(symbols, "uint8"), sum(1 for _ in words)

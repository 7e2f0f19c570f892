"""Texts and other bytes that repeat themselves, by what the standard library offers."""

import lzma
import zlib

_RAW, _DEFLATED, _LZMA = range(3)
_FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 22, "lc": 3, "lp": 0, "pb": 0}]


def encode_text(content: bytes, dictionary: bytes = b"") -> bytes:
    """Returns a text in few bytes: by deflate or LZMA, or as it is.

    Args:
        content: The bytes.
        dictionary: Bytes that are much like them, which deflate may refer to.

    Returns:
        The code. `decode_text` needs the same dictionary.

    Example:

    >>> len(encode_text(b"one layer, another layer, a third layer", b"layer, another layer"))
    19
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zdict=dictionary)
    codes = [
        bytes([_RAW]) + content,
        bytes([_DEFLATED]) + deflate.compress(content) + deflate.flush(),
        bytes([_LZMA]) + lzma.compress(content, lzma.FORMAT_RAW, filters=_FILTERS),
    ]
    return min(codes, key=len)


def decode_text(code: bytes, most: int, dictionary: bytes = b"") -> bytes:
    """Returns the bytes that `encode_text` was given.

    Args:
        code: What it returned.
        most: Most bytes to expect. Where there are more, no memory is taken for them.
        dictionary: The dictionary it was given.

    Returns:
        The bytes.

    Raises:
        ValueError: If these bytes are no such code, or one of more than `most` bytes.

    Example:

    >>> decode_text(encode_text(b"one layer"), 100)
    b'one layer'
    """
    kind, code = bytes(code[:1]), bytes(code[1:])
    if kind == bytes([_RAW]):
        found, ends = code, True
    elif kind == bytes([_DEFLATED]):
        found, ends = _expand(zlib.decompressobj(-zlib.MAX_WBITS, zdict=dictionary), code, most, zlib.error)
    elif kind == bytes([_LZMA]):
        found, ends = _expand(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS), code, most, lzma.LZMAError)
    else:
        raise ValueError(f"no kind of text begins with {kind!r}")
    if len(found) > most:
        raise ValueError(f"a text has more than {most} bytes")
    if not ends:
        raise ValueError("a text ends too early")
    return found


def _expand(decompressor, code, most, error_type):
    """Returns what a code stands for, one byte more than expected at most, and whether it is whole."""
    try:
        found = decompressor.decompress(code, most + 1)
    except error_type as error:
        raise ValueError(f"a text is damaged: {error}") from error
    return found, len(found) > most or (decompressor.eof and not decompressor.unused_data)

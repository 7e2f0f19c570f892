"""A LiteRT file as C source, since a microcontroller has no files: its bytes, and what an app must know of them."""

import os
import re

import numpy as np

from keras_slim.errors import ExportError, invalid_argument
from keras_slim.export.tflite_file import describe, load_single
from keras_slim.validation import check_count
from keras_slim.whole_files import written_whole

_OWNER = "write_c_array"
_BYTES_IN_A_LINE = 16
_C_TYPES = {
    "float32": "float",
    "float64": "double",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "bool": "bool",
}

_HEADER = """\
// A LiteRT file{origin} as a C array, written by keras_slim. Do not edit.
// Operations to register: {operations}.
#ifndef {guard}
#define {guard}

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif
// Aligned to 16 bytes, as the runtime reads it in place.
extern const unsigned char {name}_data[];
#ifdef __cplusplus
}}
#endif

enum {{
{counts}
}};
{tensors}

#endif  // {guard}
"""
_SOURCE = """\
#include "{name}.h"

alignas(16) const unsigned char {name}_data[] = {{
{lines}
}};

static_assert(sizeof({name}_data) == {name}_bytes, "{name}.h and {name}.cc are of different files");
"""


def write_c_array(
    path: str | os.PathLike, folder: str | os.PathLike, name: str | None = None, arena_bytes: int | None = None
) -> tuple[str, str]:
    """Writes a LiteRT file as C source, `NAME.h` and `NAME.cc`, for a microcontroller.

    The header reads in C and in C++. Beside the array, `NAME_data`, it has constants: `NAME_bytes`,
    `NAME_num_operations` (the size of a `MicroMutableOpResolver`), and for each input and output, such as
    `NAME_input_0`, the C type of its elements, their number, its shape with the batch of one, and for integers that
    stand for real numbers, `(integer - zero_point) * scale`, scale and zero point. Both files are written whole or not
    at all.

    Args:
        path: Path of a `.tflite` file.
        folder: Path of an existing folder for the two.
        name: What the files and all names in them begin with: letters, digits and single underscores, a letter first.
            None takes the name of the file.
        arena_bytes: What `check_micro` has measured, for the constant `NAME_arena_bytes`. Optional.

    Returns:
        The paths of both.

    Raises:
        ExportError: If it is no LiteRT file, or C has no type for an input or an output.
        FileNotFoundError: If there is no such file.
        TypeError, ValueError: If the name is none in C, `arena_bytes` is no count, the folder cannot be written to, or
            the file has several signatures.

    Example:

    >>> write_c_array("digits.tflite", "firmware/src", arena_bytes=report.arena_bytes)  # doctest: +SKIP
    ('firmware/src/digits.h', 'firmware/src/digits.cc')
    """
    name = _check_name(path, name)
    if arena_bytes is not None:
        check_count(arena_bytes, "arena_bytes", _OWNER)
    file = load_single(path, _OWNER)
    with open(path, "rb") as stored:
        content = stored.read()
    header, source = (os.path.join(folder, f"{name}{ending}") for ending in (".h", ".cc"))
    with written_whole(header, _OWNER, ".h") as new_header, written_whole(source, _OWNER, ".cc") as new_source:
        _write(new_header, _header(file, name, arena_bytes))
        _write(new_source, _SOURCE.format(name=name, lines=_lines(content)))
    return header, source


def _check_name(path, name):
    if name is None:
        stem = os.path.basename(os.fspath(path)).removesuffix(".tflite")
        name = re.sub(r"[\W_]+", "_", stem, flags=re.ASCII).strip("_")
        return name if re.match("[A-Za-z]", name) else f"model_{name}".rstrip("_")
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name):
        return name
    expected = "letters, digits and single underscores, a letter first, as names in C have them"
    raise ValueError(invalid_argument("name", _OWNER, expected=expected, received=name))


def _write(path, text):
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write(text)


def _lines(content):
    numbers = [f"0x{byte:02x}," for byte in content]
    rows = (numbers[start : start + _BYTES_IN_A_LINE] for start in range(0, len(numbers), _BYTES_IN_A_LINE))
    return "\n".join(f"    {' '.join(row)}" for row in rows)


def _header(file, name, arena_bytes):
    counts = {"bytes": file.size, "arena_bytes": arena_bytes, "num_operations": len(file.operations)}
    tensors = [
        _lines_of(f"{name}_{kind}_{number}", tensor)
        for kind, named in (("input", file.inputs), ("output", file.outputs))
        for number, tensor in enumerate(describe(named))
    ]
    return _HEADER.format(
        name=name,
        guard=f"{name.upper()}_H_",
        origin=f", {_in_a_comment(os.path.basename(file.path))},",
        operations=", ".join(file.operations),
        counts="\n".join(f"  {name}_{key} = {value}," for key, value in counts.items() if value is not None),
        tensors="\n".join(tensors),
    )


def _lines_of(place, tensor):
    lines = [
        f"// '{_in_a_comment(tensor.name)}'",
        f"typedef {_c_type(tensor)} {place}_type;",
        f"enum {{ {place}_dims = {len(tensor.shape) or 1}, {place}_size = {tensor.size} }};",
        f"static const int {place}_shape[] = {{{', '.join(str(size or 1) for size in tensor.shape or (1,))}}};",
    ]
    if tensor.scale is not None:
        lines += [
            f"static const float {place}_scale = {np.float32(tensor.scale)!s}f;",
            f"enum {{ {place}_zero_point = {tensor.zero_point} }};",
        ]
    return "\n".join(["", *lines])


def _c_type(tensor):
    if tensor.dtype not in _C_TYPES:
        raise ExportError(
            f"C has no type for '{tensor.name}' of the file, which holds {tensor.dtype}. Export it with numbers."
        )
    return _C_TYPES[tensor.dtype]


def _in_a_comment(text):
    return re.sub(r"[^\w .,:/-]", "_", text, flags=re.ASCII)

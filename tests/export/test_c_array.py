"""A file as C source: the very bytes, and constants that a compiler reads as the interpreter does."""

import re
import shutil
import subprocess

import pytest

from keras_slim.errors import ExportError
from keras_slim.export import write_c_array
from keras_slim.export.tflite_file import TfliteFile

PRINTS = r"""
#include <cstdint>
#include <cstdio>
#include <type_traits>
#include "net.h"
static_assert(std::is_same<net_input_0_type, int8_t>::value && std::is_same<net_output_0_type, int8_t>::value, "int8");
int main() {
  printf("%d %d %d %d\n", (int)((uintptr_t)net_data % 16), net_bytes, net_arena_bytes, net_num_operations);
  printf("%d %d %.9g %d\n", net_input_0_dims, net_input_0_size, net_input_0_scale, net_input_0_zero_point);
  for (int size : net_input_0_shape) printf("%d ", size);
  printf("\n%d %d %.9g %d\n", net_output_0_dims, net_output_0_size, net_output_0_scale, net_output_0_zero_point);
  for (int size : net_output_0_shape) printf("%d ", size);
  printf("\n");
  for (int k = 0; k < net_bytes; ++k) printf("%02x", net_data[k]);
}
"""


def compiler(*names):
    """Returns the first of these programs that is there, or skips the test."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip(f"needs one of {', '.join(names)}")


def numbers(line):
    return [float(number) for number in line.split()]


def test_a_compiler_reads_what_the_interpreter_reads(exported, tmp_path):
    path = exported["int8"].path
    write_c_array(path, tmp_path, "net", arena_bytes=4321)
    (tmp_path / "main.cc").write_text(PRINTS)
    strict = ["-std=c++11", "-O0", "-Wall", "-Wextra", "-Wno-unused-const-variable", "-Wno-unused-variable", "-Werror"]
    command = [compiler("c++", "g++", "clang++"), *strict, "net.cc", "main.cc", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.splitlines()
    file = TfliteFile(path)
    (taken,), (given,) = file.inputs.values(), file.outputs.values()
    assert numbers(printed[0]) == [0, file.size, 4321, 3]
    assert numbers(printed[1]) == [4, 72, pytest.approx(taken["quantization"][0], rel=1e-7), taken["quantization"][1]]
    assert numbers(printed[2]) == [1, 6, 6, 2]
    assert numbers(printed[3]) == [2, 5, pytest.approx(given["quantization"][0], rel=1e-7), given["quantization"][1]]
    assert numbers(printed[4]) == [1, 5]
    with open(path, "rb") as stored:
        assert bytes.fromhex(printed[5]) == stored.read()


def test_the_header_reads_in_plain_c(exported, tmp_path):
    write_c_array(exported[None].path, tmp_path, "net")
    (tmp_path / "main.c").write_text('#include "net.h"\nint main(void) { return net_output_0_dims != 2; }\n')
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler("cc", "gcc", "clang"), *strict, "-c", "main.c"], cwd=tmp_path, check=True)


def test_the_array_compiles_for_a_cortex_m(exported, tmp_path):
    write_c_array(exported["int8"].path, tmp_path, "net")
    options = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffreestanding", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler("arm-none-eabi-g++"), *options, "-c", "net.cc"], cwd=tmp_path, check=True)
    dumped = subprocess.run(
        ["arm-none-eabi-objdump", "-h", "net.o"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    size, alignment = re.search(r"\.rodata\S* +(\w+) .* 2\*\*(\d)", dumped).groups()
    assert int(size, 16) == exported["int8"].bytes
    assert int(alignment) == 4


def test_a_float_file_has_no_scales(exported, tmp_path):
    header, source = write_c_array(exported[None].path, tmp_path, "net")
    with open(header) as file:
        text = file.read()
    assert "typedef float net_input_0_type;" in text
    assert "scale" not in text
    assert "arena" not in text
    assert "// Operations to register: CONV_2D, RESHAPE, FULLY_CONNECTED." in text
    assert source == str(tmp_path / "net.cc")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("int8.tflite", "int8"),
        ("9 lives-v1.2.tflite", "model_9_lives_v1_2"),
        ("__net__.tflite", "net"),
        ("né.tflite", "n"),
        ("*/.tflite", "model"),
        ("class.tflite", "class"),
    ],
)
def test_names_in_c_come_from_the_file(file, name, exported, tmp_path):
    path = tmp_path / file.replace("/", "%")
    shutil.copy(exported["int8"].path, path)
    assert write_c_array(path, tmp_path) == (str(tmp_path / f"{name}.h"), str(tmp_path / f"{name}.cc"))
    text = (tmp_path / f"{name}.h").read_text()
    assert re.search(rf"\b{name}_data\b", text)
    assert f"#ifndef {name.upper()}_H_" in text


@pytest.mark.parametrize("name", ["", "9lives", "a b", "a__b", "_net", "net_", "né", "net.h", "../net", 3])
def test_other_names_are_refused(name, exported, tmp_path):
    with pytest.raises(ValueError, match="`name` of `write_c_array`. Expected letters, digits and single underscores"):
        write_c_array(exported["int8"].path, tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_both_files_are_written_or_none(exported, tmp_path):
    (tmp_path / "net.cc").mkdir()
    with pytest.raises(ValueError, match=r"Expected the path of a file.*net\.cc"):
        write_c_array(exported["int8"].path, tmp_path, "net")
    assert [path.name for path in tmp_path.iterdir()] == ["net.cc"]


def test_what_is_no_file_or_no_folder_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="Expected a path in a folder that exists"):
        write_c_array(exported["int8"].path, tmp_path / "no")
    (tmp_path / "odd.tflite").write_text("nothing of the kind")
    with pytest.raises(ExportError, match="not a LiteRT file"):
        write_c_array(tmp_path / "odd.tflite", tmp_path)
    with pytest.raises(FileNotFoundError):
        write_c_array(tmp_path / "no.tflite", tmp_path)


@pytest.mark.parametrize("arena_bytes", ["10k", 1.5, 0, True])
def test_an_arena_is_a_number_of_bytes(arena_bytes, exported, tmp_path):
    with pytest.raises((TypeError, ValueError), match="`arena_bytes` of `write_c_array`"):
        write_c_array(exported["int8"].path, tmp_path, "net", arena_bytes)
    assert list(tmp_path.iterdir()) == []

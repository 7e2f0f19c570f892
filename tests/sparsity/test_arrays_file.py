import os
import zipfile

import numpy as np
import pytest

from keras_slim.sparsity import arrays_file

ARRAYS = {"0/path": np.array("net/head/kernel"), "numbers": np.arange(1000.0), "one": np.array(3)}


def read(path):
    return arrays_file.read_arrays(path, "numbers", "Masks")


def test_arrays_come_back(tmp_path):
    arrays_file.write_arrays(tmp_path / "a.npz", ARRAYS, "Masks")
    found = read(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("name", ["no_ending", "model.keras"])
def test_a_name_that_ends_otherwise_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"`path` of `Masks`\. Expected a path that ends with '\.npz'"):
        arrays_file.write_arrays(tmp_path / name, ARRAYS, "Masks")
    assert os.listdir(tmp_path) == []


def test_a_file_is_replaced_whole_or_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    arrays_file.write_arrays(path, {"numbers": np.zeros(3)}, "Masks")

    def fail(*names):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        arrays_file.write_arrays(path, ARRAYS, "Masks")
    np.testing.assert_array_equal(read(path)["numbers"], np.zeros(3))
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_folder_must_exist(tmp_path):
    with pytest.raises(ValueError, match="`path` of `Masks`.*Create it first"):
        arrays_file.write_arrays(tmp_path / "none" / "a.npz", ARRAYS, "Masks")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.npz")


def damage_none(content):
    return b""


def damage_text(content):
    return b"not a file of arrays"


def damage_end(content):
    return content[: len(content) // 2]


def damage_middle(content):
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 40]) + content[middle + 40 :]


@pytest.mark.parametrize("damage", [damage_none, damage_text, damage_end, damage_middle])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "a.npz"
    arrays_file.write_arrays(path, ARRAYS, "Masks")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"not a file of `Masks`.*`Masks\.save\(\)` wrote.*a\.npz"):
        read(path)


def test_a_file_of_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="not a file of `Masks`"):
        read(tmp_path / "a.npz")


def test_one_array_by_itself_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match="not a file of `Masks`"):
        read(tmp_path / "a.npy")


def test_nothing_in_a_file_is_run(tmp_path):
    """A pickled object could run any code when it is read."""
    np.savez(tmp_path / "a.npz", numbers=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a file of `Masks`"):
        read(tmp_path / "a.npz")


def test_a_zip_file_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("numbers.npy", b"text")
    with pytest.raises(ValueError, match="not a file of `Masks`"):
        read(tmp_path / "a.npz")

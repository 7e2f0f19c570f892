import json
import subprocess
import sys

import keras
import numpy as np
import pytest


@pytest.fixture(scope="module")
def compressed_path(folder, model_path):
    from keras_slim.cli import main

    path = str(folder / "model.slim.h5")
    assert main(["compress", model_path, "-o", path]) == 0
    return path


def test_a_model_goes_there_and_back(prints, model_path, compressed_path, tmp_path):
    path = tmp_path / "back.keras"
    assert prints("decompress", compressed_path, "-o", path) == f"Wrote {path}\n"
    model, same = keras.saving.load_model(model_path), keras.saving.load_model(path)
    for old, new in zip(model.weights, same.weights, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy(), strict=True)


def test_adder_layers_need_no_import(tmp_path):
    """In processes of their own: Keras knows only layers of modules that were imported."""
    from keras_slim.layers import AdderDense

    keras.Sequential([keras.Input((3,)), AdderDense(2)]).save(tmp_path / "model.keras")
    for words in (["compress", "model.keras", "-o", "model.h5"], ["decompress", "model.h5", "-o", "back.keras"]):
        command = [sys.executable, "-m", "keras_slim.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_table(prints, model_path, compressed_path, tmp_path):
    text = prints("inspect", compressed_path)
    assert "hidden" in text
    report = json.loads(prints("inspect", compressed_path, "--json"))
    assert [layer["name"] for layer in report["layers"]] == ["conv", "hidden", "scores"]
    half = json.loads(prints("compress", model_path, "--output", tmp_path / "half.h5", "--float16", "--json"))
    assert half["file_bytes"] == (tmp_path / "half.h5").stat().st_size < report["file_bytes"]


def test_the_picture(prints, compressed_path, tmp_path):
    prints("inspect", compressed_path, "--histogram", tmp_path / "weights.png")
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_file_is_a_failure(fails, compressed_path, tmp_path):
    path = tmp_path / "broken.h5"
    with open(compressed_path, "rb") as file:
        path.write_bytes(file.read()[:-1])
    for words in (["inspect", path], ["decompress", path, "-o", tmp_path / "out.keras"]):
        assert "cannot be read" in fails(1, *words)
    assert not (tmp_path / "out.keras").exists()
    assert "higher `max_bytes`" in fails(1, "inspect", compressed_path, "--max-bytes", "100")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compress", "no.keras", "-o", "out.h5"], "There is no file no.keras"),
        (["compress", "no.keras"], "the following arguments are required: -o"),
        (["compress", "no.keras", "-o", "missing/out.h5"], "folder that exists"),
        (["compress", "no.keras", "-o", "no.keras"], "ends with .h5, received 'no.keras'"),
        (["decompress", "no.h5", "-o", "out.keras"], "There is no file no.h5"),
        (["decompress", "no.h5", "-o", "out.h5"], "ends with .keras, received 'out.h5'"),
        (["inspect", "no.h5"], "There is no file no.h5"),
        (["inspect", "no.h5", "--histogram", "weights"], "ends with .png or .svg or .pdf, received 'weights'"),
        (["inspect", "no.h5", "--max-bytes", "0"], "--max-bytes: expected an integer of at least 1"),
    ],
)
def test_bad_usage(words, message, fails, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in fails(2, *words)

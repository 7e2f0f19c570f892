import importlib.util
import json

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.cli import export
from keras_slim.export.microcontroller import TARGETS

runs_it = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="needs `keras_slim[micro]`, Linux on x86-64"
)


def test_the_targets_are_those_of_the_library():
    assert (None, *export.TARGETS) == TARGETS


@runs_it
def test_a_file_is_checked_and_written_as_c(prints, tflite_path, data_path, tmp_path):
    text = prints("micro", tflite_path, "--data", data_path, "--c", tmp_path, "--name", "net")
    assert "on 32 samples" in text
    assert f"written     {tmp_path}/net.h\nwritten     {tmp_path}/net.cc\n" in text
    arena = slim.check_micro(tflite_path).arena_bytes
    assert f"arena       {arena:,} bytes" in text
    assert f"net_arena_bytes = {arena}," in (tmp_path / "net.h").read_text()


@runs_it
def test_json_without_data(prints, tflite_path, tmp_path):
    report = json.loads(prints("micro", tflite_path, "--json", "--c", tmp_path))
    assert report["random_samples"] is True
    assert report["relative_error"] < 1e-5
    assert report["written"] == [str(tmp_path / "model.h"), str(tmp_path / "model.cc")]


@runs_it
def test_a_file_that_it_does_not_run_is_a_failure(fails, tmp_path):
    path = tmp_path / "net.tflite"
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="gelu")])
    slim.export_tflite(model, path, verbose=0)
    assert "lacks operations that the file needs: GELU." in fails(1, "micro", path, "--c", tmp_path)
    assert list(tmp_path.iterdir()) == [path]


@runs_it
def test_an_export_for_it(prints, model_path, data_path, tmp_path):
    words = ["--quantize", "int8", "--data", data_path, "--target", "microcontroller"]
    assert "\narena       " in prints("export", model_path, "-o", tmp_path / "net.tflite", *words)


@runs_it
def test_bad_usage(fails, tflite_path, data_path, tmp_path):
    assert "There is no file" in fails(2, "micro", tmp_path / "no.tflite")
    assert "folder that exists" in fails(2, "micro", tflite_path, "--c", tmp_path / "no")
    assert "letters, digits" in fails(2, "micro", tflite_path, "--c", tmp_path, "--name", "a-b")
    np.savez(tmp_path / "odd.npz", x=np.ones((3, 5)))
    assert "(3, 5)" in fails(2, "micro", tflite_path, "--data", tmp_path / "odd.npz")


def test_a_precision_that_it_does_not_run(fails, model_path, tmp_path):
    words = ["--quantize", "float16", "--target", "microcontroller"]
    assert "whose runtime runs no other files" in fails(2, "export", model_path, "-o", tmp_path / "net.tflite", *words)


def test_without_the_package(fails, tflite_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'keras_slim[micro]'" in fails(1, "micro", tflite_path)

import json

import pytest

from keras_slim.cli import export
from keras_slim.export.conversion import QUANTIZATIONS


def test_the_precisions_are_those_of_the_library():
    assert (None, *export.PRECISIONS) == QUANTIZATIONS


def test_a_file_is_written_and_reported(prints, model_path, data_path, tmp_path):
    path = tmp_path / "model.tflite"
    text = prints("export", model_path, "-o", path, "--quantize", "int8", "--data", data_path)
    assert "int8" in text
    assert "dB on 40 samples" in text
    assert path.exists()


def test_json_without_data(prints, model_path, tmp_path):
    path = tmp_path / "model.tflite"
    report = json.loads(prints("export", model_path, "-o", path, "--json"))
    assert report["bytes"] == path.stat().st_size
    assert report["quantize"] is None
    assert report["random_samples"] is True
    assert [report["inputs"][0][key] for key in ("name", "shape", "dtype")] == ["image", [1, 8, 8, 1], "float32"]
    assert report["outputs"][0]["shape"] == [1, 3]
    assert sum(report["agreement"]["delegated"].values()) == sum(report["agreement"]["operations"].values())


def test_a_file_that_lies_is_a_failure(fails, model_path, data_path, tmp_path):
    path = tmp_path / "model.tflite"
    words = ["--quantize", "int8", "--data", data_path, "--tolerance", "140"]
    assert "does not answer like the model" in fails(1, "export", model_path, "-o", path, *words)
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.tflite", "--quantize", "int4"], "--quantize: invalid choice: 'int4'"),
        (["model.tflite", "--quantize", "int8"], "--quantize int8 needs --data PATH"),
        (["model.tflite", "--data", "no.npz"], "There is no file no.npz"),
        (["model.keras"], "ends with .tflite, received 'model.keras'"),
        (["missing/model.tflite"], "folder that exists"),
    ],
)
def test_bad_usage(words, message, fails, model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in fails(2, "export", model_path, "-o", *words)
